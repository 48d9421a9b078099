from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch

from autorf.data import DataSet, DigitsData, FassegData, FolderData, load
from autorf.data.data_set import Labels
from autorf.data.sources import resized_masks
from autorf.errors import InputError
from autorf.specification import parse
from autorf.training.batches import loader
from tests.data.conftest import WritePair

SCENES = {"canvas": (96, 96), "object_size": 32, "n_train": 6, "n_val": 4, "n_test": 2, "score_at": "mask"}
SIZES = ((20, 14), (20, 14), (30, 21), (20, 14))
"""Of the masks of a data set on disk."""


def folder(root: Path, write_pair: WritePair, **fields: object) -> FolderData:
    for at, size in enumerate(SIZES):
        for split in ("train", "val"):
            write_pair(root / split / "images", root / split / "masks", f"{at}.png", size)
    return FolderData(root=root, classes=3, image_size=(10, 8), **fields)  # type: ignore[arg-type]


def test_masks_keep_their_own_size_where_scores_are_taken_and_no_other_pixel_changes(
    tmp_path: Path, write_pair: WritePair
) -> None:
    plain, own = (load(folder(tmp_path, write_pair, score_at=scale)) for scale in ("training", "mask"))
    assert own.val.mask_sizes == list(SIZES)
    assert own.val[2][0].shape == (3, 10, 8)
    assert own.val[2][1].shape == (30, 21)
    for split in ("train", "val"):
        images = [getattr(data, split).source.images for data in (plain, own)]
        assert torch.equal(*images)
    assert torch.equal(plain.train.source.masks, own.train.source.masks)


def test_a_mask_at_the_image_size_is_what_a_training_split_has(tmp_path: Path, write_pair: WritePair) -> None:
    plain, own = (load(folder(tmp_path, write_pair, score_at=scale)) for scale in ("training", "mask"))
    assert torch.equal(own.val.at_image_size().tensors(range(4))[1], plain.val.tensors(range(4))[1])
    joined = own.val_joined().train
    assert [tuple(joined[at][1].shape) for at in range(8)] == [(10, 8)] * 8
    assert torch.equal(joined.tensors(range(8))[1], plain.val_joined().train.tensors(range(8))[1])


def test_batches_in_order_hold_masks_of_one_size_and_every_image_once(tmp_path: Path, write_pair: WritePair) -> None:
    val = load(folder(tmp_path, write_pair, score_at="mask")).val
    batches = loader(val, 3, 0, shuffle=False)
    shapes = [(len(image), tuple(mask.shape[1:])) for image, mask in batches]
    assert shapes == [(2, (20, 14)), (1, (30, 21)), (1, (20, 14))]
    assert len(batches) == 3


def test_pictures_that_do_not_fit_into_memory_have_the_same_masks(
    tmp_path: Path, write_pair: WritePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = folder(tmp_path, write_pair, score_at="mask")
    kept = load(data).val
    monkeypatch.setattr("autorf.data.reading.MEMORY_BOUND", 0)
    read = load(data).val
    assert all(torch.equal(kept[at][1], read[at][1]) for at in range(4))
    assert read.mask_sizes == kept.mask_sizes


def test_one_scene_at_two_sizes_has_the_same_masks_to_score_at() -> None:
    small, large = (load(DigitsData(image_size=side, **SCENES)) for side in (48, 96))  # type: ignore[arg-type]
    assert torch.equal(small.val.source.masks, large.val.source.masks)
    assert small.val[0][0].shape == (3, 48, 48)
    assert small.val[0][1].shape == (96, 96)
    assert torch.equal(small.train.source.masks, resized_masks(large.train.source.masks, (48, 48)))
    # The picture is the same one: its mean colour stays.
    means = [splits.train.source.images.float().mean((1, 2, 3)) for splits in (small, large)]
    assert torch.allclose(*means, atol=0.5)


def test_digits_without_a_canvas_are_drawn_as_before() -> None:
    plain = load(DigitsData(n_train=3, n_val=1, n_test=0))
    canvas = load(DigitsData(n_train=3, n_val=1, n_test=0, canvas=(96, 96)))
    assert torch.equal(plain.train.source.images, canvas.train.source.images)


def test_two_halves_share_no_image_and_hold_all_together() -> None:
    whole = load(DigitsData(n_train=9, n_val=1, n_test=0))
    halves = [load(DigitsData(n_train=9, n_val=1, n_test=0, half=half)).train for half in ("a", "b")]
    images = [[image.numpy().tobytes() for image, _ in half] for half in halves]
    assert [len(half) for half in images] == [4, 5]
    assert set(images[0]).isdisjoint(images[1])
    assert {*images[0], *images[1]} == {image.numpy().tobytes() for image, _ in whole.train}


def test_the_faces_have_masks_of_many_sizes(real_data: Path) -> None:
    val = load(FassegData(root=real_data / "fasseg", image_size=(64, 48), score_at="mask")).val
    assert val.mask_sizes is not None
    assert len(set(val.mask_sizes)) > 1
    assert all(val[at][1].shape == val.mask_sizes[at] for at in range(len(val)))


class Theirs(DataSet):
    name: Literal["theirs"] = "theirs"
    image_size: tuple[int, int] = (8, 8)

    def labels(self) -> Labels:
        return Labels(("a", "b"))

    def sets(self):  # type: ignore[no-untyped-def]
        return {}


class WithMasks(Theirs):
    own_masks: ClassVar[bool] = True


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        (FolderData, {"root": ".", "classes": 2, "image_size": 8, "fit": "crop", "score_at": "mask"}, "fit: resize"),
        (Theirs, {"score_at": "mask"}, "the data set theirs has its masks at image_size only"),
        (DigitsData, {"canvas": 24}, "object_size must be at most the canvas's smaller side, 24"),
        (DigitsData, {"canvas": [0, 24]}, "canvas.0: must be greater than or equal to 1, got 0"),
        (DigitsData, {"score_at": "original"}, "score_at: must be 'training' or 'mask'"),
        (DigitsData, {"half": "c"}, "half: must be 'a' or 'b'"),
    ],
)
def test_what_cannot_be_scored_at_the_masks_is_refused_in_one_line(
    kind: type, values: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        parse(kind, values, "f")


def test_a_data_set_of_others_may_have_masks_of_their_own_size() -> None:
    assert WithMasks(score_at="mask").score_at == "mask"


def test_a_split_of_one_image_has_no_halves(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 image has no halves"):
        load(DigitsData(n_train=1, n_val=1, n_test=0, half="a"))


def test_a_mask_whose_header_is_damaged_is_named(tmp_path: Path, write_pair: WritePair) -> None:
    data = folder(tmp_path, write_pair, score_at="mask")
    (tmp_path / "val" / "masks" / "1.png").write_bytes(np.zeros(9, np.uint8).tobytes())
    with pytest.raises(InputError, match=r"1\.png: cannot be read as a picture"):
        load(data)
