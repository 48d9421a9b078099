"""Images without labels are the data set's own, and no mask is read on the way to them."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from autorf.data.decoding import Decoder
from autorf.data.pairs import Pair
from autorf.data.reading import OnDisk
from autorf.data.segmentation_set import SegmentationSet
from autorf.data.sources import AtImageSize, Chosen, InMemory, Joined
from autorf.distillation.unlabelled import folder_pictures, picture_files, split_labels, without_labels
from autorf.errors import InputError

SIZE = (4, 6)
COLOURS = torch.randint(0, 256, (6, 3, *SIZE), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


class Strict(InMemory):
    """A source whose masks break what reads them."""

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        raise AssertionError("a mask was read")


def strict() -> Strict:
    return Strict(COLOURS, torch.full((6, *SIZE), 250, dtype=torch.uint8))


@pytest.mark.parametrize(
    "source",
    [
        strict(),
        Chosen(Chosen(strict(), (5, 4, 3, 2, 1, 0)), (5, 4, 3, 2, 1, 0)),
        AtImageSize(strict(), SIZE),
        Joined((Chosen(strict(), (0, 1)), Chosen(strict(), (2, 3, 4, 5)))),
    ],
    ids=lambda source: type(source).__name__,
)
def test_the_images_are_there_and_no_mask_is_read(source: InMemory) -> None:
    images, masks = without_labels(SegmentationSet(source, SIZE, None)).source.read([4, 0])
    assert images.equal(COLOURS[[4, 0]])
    assert not masks.any()


def test_the_mask_files_of_a_split_stay_closed(tmp_path: Path) -> None:
    pairs = []
    for index, picture in enumerate(COLOURS):
        file = tmp_path / f"{index}.png"
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(file)
        pairs.append(Pair(file, tmp_path / "nowhere.png"))
    source = OnDisk(pairs, Decoder(SIZE, 3))
    images, masks = without_labels(SegmentationSet(source, SIZE, None)).source.read(range(6))
    assert images.equal(COLOURS)
    assert not masks.any()


def test_two_parts_hold_each_image_once_and_the_same_ones_every_time() -> None:
    masks = torch.arange(6, dtype=torch.uint8)[:, None, None].expand(6, *SIZE)
    whole = SegmentationSet(InMemory(COLOURS, masks), SIZE, None)
    labelled, others = split_labels(whole, 2)
    assert (len(labelled), len(others)) == (2, 4)
    kept = labelled.source.read(range(2))[1][:, 0, 0].tolist()
    left = [place for place in range(6) if place not in kept]
    assert others.source.read(range(4))[0].equal(COLOURS[left])
    assert split_labels(whole, 2)[0].source.read(range(2))[1][:, 0, 0].tolist() == kept


def test_pictures_of_a_folder_come_by_name_at_the_image_size(tmp_path: Path) -> None:
    for name, side in (("b.png", 9), ("a.jpg", 12)):
        Image.new("RGB", (side, side), (side, 0, 0)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    like = SegmentationSet(strict(), SIZE, 255)
    images = folder_pictures(tmp_path, Decoder(SIZE, 3), like)
    image, mask = images.tensors([0, 1])
    assert [file.name for file in picture_files(tmp_path)] == ["a.jpg", "b.png"]
    assert image.shape == (2, 3, *SIZE)
    assert not mask.any()
    assert images.normalisation == like.normalisation


def test_a_folder_without_pictures_and_one_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no picture"):
        picture_files(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        picture_files(tmp_path / "nowhere")


def test_a_picture_too_small_to_crop_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (3, 3)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: is 3 x 3 pixels, too small to crop 4 x 6"):
        folder_pictures(tmp_path, Decoder(SIZE, 3, fit="crop"), SegmentationSet(strict(), SIZE, None))
