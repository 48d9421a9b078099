"""Random parts of pictures at their full resolution."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from autorf.data import CamVidData, FolderData, load
from autorf.data.cutting import PatchCutter
from autorf.data.patch_spec import Patches
from autorf.data.sources import OwnSizes
from autorf.data.splits import Splits
from autorf.errors import InputError
from autorf.specification import parse

SIZES = {"train": [(30, 41), (26, 24), (33, 28)], "val": [(25, 40), (40, 25)], "test": [(9, 50)]}
PATCH = (24, 20)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Pictures in which every pixel says where it is, of classes that follow from that."""
    for split, sizes in SIZES.items():
        for number, (height, width) in enumerate(sizes):
            rows, columns = np.mgrid[:height, :width]
            image = np.stack([rows, columns, np.full_like(rows, number)], -1).astype(np.uint8)
            mask = ((rows // 5 + columns // 7) % 2).astype(np.uint8)
            mask[2, 3] = 2
            for part, pixels in (("images", image), ("masks", mask)):
                (tmp_path / split / part).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(tmp_path / split / part / f"{split}{number}.png")
    return tmp_path


def spec(root: Path, **patches: Any) -> FolderData:
    return FolderData(root=root, classes=["a", "b", "rare"], patches={"size": PATCH, "per_image": 3, **patches})


def patches_of(splits: Splits, epoch: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    splits.train.set_epoch(epoch)
    return [
        (image[0], mask[0]) for image, mask in (splits.train.unchanged([index]) for index in range(len(splits.train)))
    ]


@pytest.mark.parametrize("kept", ["memory", "cache", "files"])
def test_a_patch_is_a_part_of_its_picture_at_full_resolution_wherever_that_is_read(
    root: Path, tmp_path: Path, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kept == "files":
        monkeypatch.setattr("autorf.data.reading.MEMORY_BOUND", 0)
    splits = load(spec(root), cache=tmp_path / "cache" if kept == "cache" else None)
    assert len(splits.train) == 9, "an epoch has per_image patches of every picture"
    for index, (image, mask) in enumerate(patches_of(splits)):
        assert tuple(image.shape) == (3, *PATCH)
        assert tuple(mask.shape) == PATCH
        assert (image[2] == index // 3).all()
        top, left = int(image[0, 0, 0]), int(image[1, 0, 0])
        assert torch.equal(image[0].long(), (top + torch.arange(PATCH[0]))[:, None].expand(PATCH))
        stored = np.array(Image.open(root / "train" / "masks" / f"train{index // 3}.png"))
        assert np.array_equal(mask.numpy(), stored[top : top + PATCH[0], left : left + PATCH[1]])


def test_memory_cache_and_files_give_the_same_patches(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory, mapped = load(spec(root, rare=0.5)), load(spec(root, rare=0.5), cache=tmp_path / "cache")
    monkeypatch.setattr("autorf.data.reading.MEMORY_BOUND", 0)
    for other in (mapped, load(spec(root, rare=0.5))):
        for ours, theirs in zip(patches_of(in_memory, 3), patches_of(other, 3), strict=True):
            assert all(map(torch.equal, ours, theirs))


def test_patches_depend_on_seed_epoch_and_index_only(root: Path) -> None:
    splits = load(spec(root))
    first, other = patches_of(splits, 0), patches_of(splits, 1)
    assert all(map(torch.equal, first[4], patches_of(load(spec(root)), 0)[4]))
    splits.train.set_epoch(0)
    assert torch.equal(splits.train.unchanged([4, 0])[0][0], first[4][0])
    assert sum(torch.equal(a[0], b[0]) for a, b in zip(first, other, strict=True)) < len(first)
    assert sum(torch.equal(a[0], b[0]) for a, b in zip(first, patches_of(load(spec(root), 1)), strict=True)) < 9


def test_every_place_is_drawn_and_no_other() -> None:
    image = torch.arange(4 * 3, dtype=torch.uint8).reshape(1, 4, 3)
    cutter = PatchCutter(Patches(size=(2, 2), per_image=1), ["a", "b"], None)
    source = OwnSizes([image], [torch.zeros(4, 3, dtype=torch.uint8)])
    corners = Counter(int(cutter.patch(source, 0, epoch, 0)[0][0, 0, 0]) for epoch in range(600))
    assert set(corners) == {0, 1, 3, 4, 6, 7}
    assert max(corners.values()) < 2 * min(corners.values())


def test_a_share_of_the_patches_holds_a_class_that_is_drawn_first() -> None:
    mask = torch.zeros(200, 300, dtype=torch.uint8)
    mask[120, 7] = 1
    mask[0, 299] = 3
    source = OwnSizes([torch.zeros(3, 200, 300, dtype=torch.uint8)], [mask])

    def share_of(number: int, ignored: int | None = None, **rare: Any) -> float:
        cutter = PatchCutter(Patches(size=(20, 20), rare=rare), ["a", "b", "c", "d"], ignored)
        return sum(number in cutter.patch(source, 0, epoch, 0)[1] for epoch in range(300)) / 300

    assert share_of(1, share=1.0, classes=[1]) == 1
    assert share_of(1, share=1.0, classes=["b", "d"]) == pytest.approx(0.5, abs=0.1)
    assert share_of(1, share=0.5, classes=["b"]) == pytest.approx(0.5, abs=0.1)
    assert share_of(1, share=1.0) == pytest.approx(1 / 3, abs=0.1), "of the three that the picture has"
    assert share_of(3, ignored=3, share=1.0) < 0.05
    assert share_of(2, share=1.0, classes=["c"]) == 0, "it has none: any place"


def test_half_of_the_pictures_is_half_of_the_pictures_not_of_the_patches(root: Path) -> None:
    half = load(spec(root).model_copy(update={"half": "a"}))
    assert len(half.train) == 3
    assert len({int(image[2, 0, 0]) for image, _ in patches_of(half)}) == 1


def test_validation_and_test_pictures_keep_their_sizes(root: Path) -> None:
    splits = load(spec(root))
    for name in ("val", "test"):
        images = getattr(splits, name)
        assert images.whole
        assert [(tuple(image.shape[1:]), tuple(mask.shape)) for image, mask in images] == [
            (size, size) for size in SIZES[name]
        ]
    assert splits.n_val_areas == pytest.approx(2 * 25 * 40 / (24 * 20))


def test_validation_pictures_that_join_the_training_are_cut_too(root: Path) -> None:
    joined = load(spec(root)).val_joined()
    assert len(joined.train) == 3 * (3 + 2)
    assert joined.train.tensors([14])[0].shape == (1, 3, *PATCH)


def test_augmentation_changes_patches_of_their_size(root: Path) -> None:
    data = FolderData(
        root=root, classes=3, patches={"size": PATCH}, augmentation={"flip": True, "scale": [0.5, 2.0], "rotation": 9}
    )
    images, masks = load(data).train.tensors([0, 1, 2])
    assert images.shape == (3, 3, *PATCH)
    assert 255 in masks, "what a zoom out leaves empty is ignored"


def test_patches_of_another_size_share_the_decoded_pictures(root: Path, tmp_path: Path) -> None:
    load(spec(root), cache=tmp_path / "cache")
    load(spec(root, size=[8, 9]), cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache" / "pictures").glob("*.lock"))) == 1


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(("split", "name"), [("train", "train1"), ("val", "val0")])
def test_a_patch_larger_than_a_picture_names_the_file(
    root: Path, tmp_path: Path, cached: bool, split: str, name: str
) -> None:
    size = [26, 30] if split == "train" else [26, 24]
    if cached:
        load(spec(root, size=[8, 9]), cache=tmp_path / "cache")
    with pytest.raises(InputError) as caught:
        load(spec(root, size=size), cache=tmp_path / "cache" if cached else None)
    own = " x ".join(map(str, SIZES[split][int(name[-1])]))
    assert str(caught.value) == (
        f"{root}/{split}/images/{name}.png: is {own} pixels, smaller than a patch of {size[0]} x {size[1]} "
        "(height x width); reduce data.patches.size, or leave the file out"
    )


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"fit": "crop"},
            "fit: crop cuts pictures to image_size, and patches are cut out of whole ones; leave fit out",
        ),
        (
            {"image_size": [9, 9]},
            "image_size: with patches it is their size, [24, 20]; leave image_size out, as an axis too",
        ),
        (
            {"augmentation": {"crop": [9, 9]}},
            "augmentation.crop: patches of [24, 20] are random crops already; leave augmentation.crop out, or give its "
            "size as patches.size",
        ),
        (
            {"score_at": "training"},
            "score_at: training: with patches pictures keep their scale, and are scored at the masks' own size; leave "
            "score_at out",
        ),
        ({"patches": {"size": 0}}, "patches.size.0: must be greater than or equal to 1, got 0"),
        ({"patches": {"per_image": 2}}, "patches.size: this key is required"),
        ({"patches": {"size": 9, "rare": 1.5}}, "patches.rare.share: must be less than or equal to 1, got 1.5"),
        ({"patches": {"size": 9, "rare": {"share": 1, "classes": ["x"]}}}, "patches.rare.classes: names no class 'x'"),
        (
            {"patches": {"size": 9, "stride": 3}},
            "patches.stride: unknown key; did you mean size?; known here: per_image, rare, size",
        ),
    ],
)
def test_what_contradicts_patches_is_refused_in_a_line(values: dict[str, Any], line: str) -> None:
    plain = {"name": "folder", "root": "data", "classes": ["a", "b"], "patches": {"size": PATCH}}
    with pytest.raises(InputError) as caught:
        parse(FolderData, {**plain, **values}, "study.yaml")
    assert line in str(caught.value)
    assert len(str(caught.value)) < 290
    assert "image_size: this key" not in str(caught.value)


def test_a_rare_class_that_the_data_set_does_not_have_is_named_before_training(root: Path) -> None:
    data = CamVidData(root=root, patches={"size": 9, "rare": {"share": 0.5, "classes": ["rode"]}})
    with pytest.raises(InputError, match=r"patches\.rare\.classes: names no class 'rode'; did you mean road"):
        load(data)


def test_what_is_stored_of_a_study_with_patches_reads_back() -> None:
    data = CamVidData(root="data", patches={"size": [64, 96], "rare": 0.3})
    assert (data.image_size, data.score_at) == ((64, 96), "mask")
    assert CamVidData.model_validate(data.model_dump(mode="json")) == data
    assert hash(data) == hash(CamVidData.model_validate(data.model_dump(mode="json")))
