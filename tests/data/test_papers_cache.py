"""The papers' data sets decode their pictures once for all trials of a machine, as folders do."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from autorf.data import Ade20kData, CityscapesData, DataSpec, HelenData, LfwData, Splits, VocData, load
from autorf.data.decoding import Decoder
from autorf.data.lfw import labels_in_file
from autorf.data.mapped import Mapped
from autorf.data.picture_cache import is_known, kept_folders
from autorf.data.sources import InMemory
from tests.data.faces import write_helen, write_lfw
from tests.data.scenes import write_ade20k, write_augmented, write_cityscapes, write_sbd, write_voc
from tests.data.test_face_images import FIVE, write_landmarks

SIZE = (32, 36)


def helen(root: Path, **values: Any) -> HelenData:
    return HelenData(root=write_helen(root), image_size=SIZE, **values)


def with_landmarks(root: Path, **values: Any) -> HelenData:
    write_helen(root)
    landmarks = {"root": write_landmarks(root), "heat_map": True}
    return HelenData(root=root, image_size=SIZE, landmarks=landmarks, align={"mask_size": (40, 40)}, **values)


DATA: dict[str, Callable[[Path], DataSpec]] = {
    "helen": helen,
    "helen at its masks": lambda root: helen(root, score_at="mask"),
    "helen with landmarks": with_landmarks,
    "helen with landmarks at its masks": lambda root: with_landmarks(root, score_at="mask"),
    "lfw": lambda root: LfwData(root=write_lfw(root), image_size=SIZE),
    "lfw of superpixels": lambda root: LfwData(root=write_lfw(root, superpixels=True), image_size=SIZE),
    "voc": lambda root: VocData(root=write_voc(root), image_size=SIZE),
    "voc augmented": lambda root: VocData(root=write_augmented(write_voc(root)), image_size=SIZE, augmented=True),
    "voc with sbd": lambda root: VocData(
        root=write_voc(root), image_size=SIZE, augmented=True, sbd=write_sbd(root.parent / "sbd")
    ),
    "cityscapes": lambda root: CityscapesData(root=write_cityscapes(root), image_size=SIZE),
    "ade20k": lambda root: Ade20kData(root=write_ade20k(root), image_size=SIZE),
    "ade20k at its masks": lambda root: Ade20kData(
        root=write_ade20k(root), image_size=SIZE, fit="resize", score_at="mask"
    ),
}


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are decoded from here on, pictures and masks."""
    files: list[Path] = []

    def counting(read: Any) -> Any:
        return lambda self, file: files.append(file) or read(self, file)

    for name in ("pixels", "classes"):
        monkeypatch.setattr(Decoder, name, counting(getattr(Decoder, name)))
    return files


def assert_alike(some: Splits, others: Splits) -> None:
    for split in ("train", "val", "test"):
        ours, theirs = getattr(some, split), getattr(others, split)
        assert (ours is None) == (theirs is None)
        if ours is None:
            continue
        assert ours.normalisation == theirs.normalisation
        assert ours.mask_sizes == theirs.mask_sizes
        for index in range(max(len(ours), len(theirs))):
            assert all(torch.equal(*parts) for parts in zip(ours[index], theirs[index], strict=True))


@pytest.mark.parametrize("name", DATA)
def test_a_second_trial_decodes_no_file_and_sees_the_same(tmp_path: Path, decoded: list[Path], name: str) -> None:
    spec = DATA[name](tmp_path / "data")
    plain = load(spec)
    assert not isinstance(plain.train.source, Mapped)
    decoded.clear()
    first = load(spec, cache=tmp_path / "cache")
    assert isinstance(first.train.source, Mapped)
    images = [split for split in (first.train, first.val, first.test) if split is not None]
    # Of every image one picture and one mask; a landmark or a part's map is no file that is decoded by itself.
    assert len(set(decoded)) == 2 * sum(map(len, images))
    decoded.clear()
    second = load(spec, cache=tmp_path / "cache")
    assert_alike(second, plain)
    assert decoded == []


def one_folder_more(tmp_path: Path, spec: DataSpec) -> Splits:
    """What is loaded, once it was seen that it is decoded anew."""
    before = kept_folders(tmp_path / "cache" / "pictures")
    splits = load(spec, cache=tmp_path / "cache")
    assert len(kept_folders(tmp_path / "cache" / "pictures")) == len(before) + 1
    assert_alike(splits, load(spec))
    return splits


def test_another_map_of_a_part_is_another_mask(tmp_path: Path) -> None:
    spec = helen(tmp_path / "data")
    before = one_folder_more(tmp_path, spec)
    labels = tmp_path / "data" / "labels"
    name = min(folder.name for folder in labels.iterdir())
    file = labels / name / f"{name}_lbl10.png"
    Image.fromarray(np.full((40, 44), 255, np.uint8)).save(file)
    after = one_folder_more(tmp_path, spec)
    assert not torch.equal(before.train[0][1], after.train[0][1])


def test_other_labels_of_superpixels_are_other_masks(tmp_path: Path) -> None:
    spec = LfwData(root=write_lfw(tmp_path / "data", superpixels=True), image_size=SIZE)
    before = one_folder_more(tmp_path, spec)
    file = min((tmp_path / "data" / "parts_lfw_funneled_gt" / "Abdullah_Gul").iterdir())
    count, *labels = map(int, file.read_text().split())
    file.write_text(" ".join(map(str, [count, *((label + 1) % 3 for label in labels)])))
    after = one_folder_more(tmp_path, spec)
    assert not torch.equal(before.train[0][1], after.train[0][1])


def test_other_landmarks_and_other_settings_of_them_are_decoded_anew(tmp_path: Path) -> None:
    spec = with_landmarks(tmp_path / "data")
    assert spec.landmarks is not None
    seen = [one_folder_more(tmp_path, spec)]
    seen.append(one_folder_more(tmp_path, spec.model_copy(update={"align": None})))
    seen.append(
        one_folder_more(
            tmp_path, spec.model_copy(update={"landmarks": spec.landmarks.model_copy(update={"square": 9})})
        )
    )
    write_landmarks(tmp_path / "data", FIVE + 2)
    seen.append(one_folder_more(tmp_path, spec))
    images = [splits.train[0][0] for splits in seen]
    assert not any(torch.equal(images[i], images[j]) for i in range(4) for j in range(i))


def test_landmarks_in_another_place_are_the_same_ones(tmp_path: Path, decoded: list[Path]) -> None:
    spec = with_landmarks(tmp_path / "data")
    assert spec.landmarks is not None
    load(spec, cache=tmp_path / "cache")
    moved = Path(tmp_path / "data" / "points.json").rename(tmp_path / "elsewhere.json")
    decoded.clear()
    load(
        spec.model_copy(update={"landmarks": spec.landmarks.model_copy(update={"root": moved})}),
        cache=tmp_path / "cache",
    )
    assert decoded == []


def test_no_cache_is_kept_where_none_is_asked_for(tmp_path: Path) -> None:
    spec = VocData(root=write_voc(tmp_path / "data"), image_size=SIZE, cache_gb=0)
    assert isinstance(load(spec, cache=tmp_path / "cache").train.source, InMemory)
    assert not (tmp_path / "cache" / "pictures").exists()


def test_what_a_function_of_others_reads_is_not_kept() -> None:
    assert is_known(Decoder((4, 4), 2))
    assert is_known(Decoder((4, 4), 2, read_classes=labels_in_file))
    for own in (lambda file, pictures: np.zeros((4, 4), np.uint8), partial(labels_in_file)):
        assert not is_known(Decoder((4, 4), 2, read_classes=own))
