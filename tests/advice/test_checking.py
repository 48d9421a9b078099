"""A check says, without any training, what a network sees of its pictures, what changes it and how to tile."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

import autorf
from autorf.advice.border import border
from autorf.advice.field_rule import LOST
from autorf.advice.objects import class_sizes, components, typical_side
from autorf.advice.peak_memory import MemoryModel, memory_model, parse_memory, peak_memory
from autorf.advice.samples import SetSamples
from autorf.advice.tile_check import tile_check
from autorf.data.normalisation import unchanged
from autorf.data.segmentation_set import SegmentationSet
from autorf.data.sources import InMemory
from autorf.errors import InputError
from autorf.fields import receptive_field
from autorf.files import size_in_words
from autorf.networks import ModelSpec
from tests.advice.pictures import write_pictures

OBJECTS = {1: [(4, 4, 14, 14), (40, 10, 50, 20)], 2: [(10, 30, 50, 42)]}
"""Two squares of 10 pixels, and a bar of 40."""


def network(norm: Callable[[], nn.Module] = nn.Identity, depth: int = 2) -> nn.Sequential:
    """A field of ``3 + 4 depth`` pixels at stride 2, back at full size."""
    torch.manual_seed(0)
    layers = [layer for _ in range(depth) for layer in (nn.Conv2d(8, 8, 3, padding=1), norm(), nn.ReLU())]
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), *layers, nn.Conv2d(8, 3, 1), nn.Upsample(scale_factor=2)).eval()


def test_objects_are_measured_by_class_after_resizing(tmp_path: Path) -> None:
    images, masks = write_pictures(tmp_path, OBJECTS)
    squares, bars = (row for row in autorf.check(network(), images, masks).objects if not row.background)
    assert (squares.name, squares.pictures, squares.objects) == ("1", 2, 4)
    assert squares.quantiles == {0.1: 10, 0.5: 10, 0.9: 10}
    assert (bars.objects, bars.typical) == (2, 40)
    doubled = autorf.check(network(), images, masks, image_size=128, class_names=("background", "square", "bar"))
    assert {row.name: row.typical for row in doubled.objects[1:]} == {"square": 20, "bar": 80}


def test_fragments_count_for_little_in_the_typical_size() -> None:
    mask = np.zeros((40, 40), int)
    mask[::4, 0] = mask[10:30, 10:30] = 1
    (row,) = class_sizes([components(mask, ignored=0)], {1: "speckled"})
    assert row.objects == 11
    assert row.quantiles[0.5] == 1
    assert row.typical == 20 == typical_side(components(mask, ignored=0))


def test_a_class_that_does_not_fit_is_named_with_both_sizes(tmp_path: Path) -> None:
    images, masks = write_pictures(tmp_path, OBJECTS)
    checked = autorf.check(network(), images, masks)
    side = min(checked.field.size)
    assert 10 < side < 40
    (line,) = checked.too_large
    assert line == f"2: half of its pixels lie in objects up to 40 px, larger than the whole field ({side:g} px)"
    deep = autorf.check(network(depth=14), images, masks)
    assert min(deep.field.size) > 40
    assert deep.effective is not None
    assert [line.partition(":")[0] for line in deep.too_large] == ["2"] * (deep.effective.sides[0.99] < 40)


def test_the_advised_field_is_the_median_kind_where_dilation_has_to_see_it(tmp_path: Path) -> None:
    images, masks = write_pictures(tmp_path, OBJECTS)
    checked = autorf.check(network(), images, masks)
    assert checked.sufficient is not None
    # Kinds of 10 and 40 px, where the stride-2 layer alone sees 3.
    assert (checked.sufficient.rf, checked.sufficient.rnorm) == (25, 25 / 64)
    assert "sees 3 px" in checked.sufficient.basis
    assert checked.advice is not None
    assert checked.advice.target_rf == 25
    assert checked.advice.dilation == pytest.approx((25 - 3) / 8)


def test_the_whole_picture_is_advised_where_no_dilation_has_to_see_the_objects(tmp_path: Path) -> None:
    images, masks = write_pictures(tmp_path, OBJECTS)
    halved = [layer for _ in range(4) for layer in (nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())]
    deep = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *halved, nn.Conv2d(8, 3, 1), nn.Upsample(scale_factor=16))
    checked = autorf.check(deep.eval(), images, masks)
    assert checked.sufficient is not None
    assert (checked.sufficient.rf, checked.sufficient.rule) == (64, "the whole picture")


def test_what_the_rule_is_said_to_lose_is_what_was_recorded() -> None:
    recorded = (Path(__file__).parents[2] / "benchmarks" / "results" / "field_rules.md").read_text()
    for grown, lost in LOST.items():
        _, _, part = recorded.partition(f"## Fields set by {grown}")
        row = next(line for line in part.splitlines() if line.startswith("| by what the rest sees"))
        assert lost.split(" in ")[0].replace(".", "0.") in row


def test_a_model_by_its_name_is_built_and_its_keys_are_knobs(tmp_path: Path) -> None:
    images, masks = write_pictures(tmp_path, OBJECTS)
    checked = autorf.check(ModelSpec(name="largefov:test_byobnet"), images, masks, image_size=96)
    assert (checked.model, checked.weights) == ("largefov:test_byobnet", "random")
    assert checked.advice is not None
    assert "model.stage" in {knob.axis for knob in checked.advice.knobs}


def test_layers_see_nothing_new_once_every_path_spans_the_image() -> None:
    plain = nn.Sequential(*(nn.Conv2d(3, 3, 5, padding=2) for _ in range(8)))
    edge = border(receptive_field(plain, 16))
    # Behind n layers the field is 1 + 4 n: behind the fourth it is 17.
    assert (edge.convolutions, edge.widest, edge.useless) == (8, "3", ("4", "5", "6", "7"))
    shortcut = autorf.build("smp:Unet:resnet18", 2)
    # Past every shortcut this layer still stands behind its block's first convolution, of 2 x 32 pixels.
    assert border(receptive_field(shortcut, 64)).useless == ("encoder.layer4.1.conv2",)
    gated = nn.Sequential(*(nn.Conv2d(4, 4, 5, padding=2) for _ in range(8)), timm.layers.SEModule(4, rd_channels=2))
    # What a gate's layers read is the whole image anyway: they are no layers without effect.
    assert border(receptive_field(gated, 16, in_channels=4)).useless == ("4", "5", "6", "7")
    wide = border(receptive_field(shortcut, 128))
    assert wide.useless == ()
    assert wide.widest is not None


@pytest.mark.parametrize(
    "name", ["smp:Unet:mobilenet_v2", "torchvision:lraspp_mobilenet_v3_large", "largefov:resnet18", "smp:Unet:mit_b0"]
)
def test_peak_memory_at_a_third_size_is_foretold_from_two(name: str) -> None:
    model = autorf.build(name, 3).eval()
    foretold = memory_model(model, 3, 32, attends="mit" in name)
    with torch.no_grad():
        measured = peak_memory(model, torch.randn(1, 3, 384, 384))
    assert foretold.at(384) == pytest.approx(measured, rel=0.2)


def test_the_largest_tile_is_the_last_that_fits() -> None:
    model = MemoryModel.fit([(128, 10**6 + 128**2 * 100), (256, 10**6 + 256**2 * 100)], 10**6)
    assert model.at(512) == 10**6 + 512**2 * 100
    largest = model.largest(50_000_000, 32)
    assert largest % 32 == 0
    assert model.at(largest) <= 50_000_000 < model.at(largest + 32)
    assert model.largest(10**6, 32) == 0


def test_what_attends_grows_with_the_square_of_the_area() -> None:
    grows = MemoryModel.fit([(64, 64**4), (128, 128**4)], 0, attends=True)
    assert grows.at(256) == pytest.approx(256**4)


@pytest.mark.parametrize(
    ("text", "size"), [("8GB", 8 * 10**9), ("4 GiB", 2**32), ("512mb", 512 * 10**6), (1000, 1000), ("1.5kB", 1500)]
)
def test_a_memory_has_a_unit_or_is_in_bytes(text: str | int, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["8 apples", "", "-1GB", "GB", "1e9", 0, True, None])
def test_another_memory_is_refused(text: Any) -> None:
    with pytest.raises(InputError, match="a number with a unit, such as 8GB"):
        parse_memory(text)


def test_amounts_are_told_in_the_unit_that_fits() -> None:
    assert [size_in_words(size) for size in (12, 1_200, 34_500_000, 8 * 10**9)] == ["12 B", "1.2 kB", "34.5 MB", "8 GB"]


NORMS: dict[str, Callable[[], nn.Module]] = {
    "batch norm": lambda: nn.BatchNorm2d(8),
    "group norm": lambda: nn.GroupNorm(2, 8),
    "instance norm": lambda: nn.InstanceNorm2d(8),
    "squeeze and excite": lambda: timm.layers.SEModule(8),
}


def picture(seed: int, side: int = 128) -> torch.Tensor:
    values = torch.randn((1, 3, side, side), generator=torch.Generator().manual_seed(seed))
    return values + torch.linspace(0, 2, side).view(1, 1, -1, 1)


@pytest.mark.parametrize("name", NORMS)
def test_the_stated_error_of_tiles_holds_on_another_picture(name: str) -> None:
    model = network(NORMS[name])
    field = receptive_field(model, 128)
    stated, elsewhere = (tile_check(model, field, picture=picture(seed)) for seed in (1, 2))
    assert stated.tile == (64, 64)
    assert [error.halo for error in stated.errors] == [error.halo for error in elsewhere.errors]
    for here, there in zip(stated.errors, elsewhere.errors, strict=True):
        assert there.mean <= max(2 * here.mean, 1e-5)
        assert here.mean <= max(2 * there.mean, 1e-5)
    last = stated.errors[-1]
    assert last.halo == stated.tiling.halo
    assert (last.largest <= 1e-5) == stated.tiling.exact == (name == "batch norm")
    assert stated.errors[0].mean > last.mean or not stated.tiling.exact


def test_a_memory_too_small_for_the_exact_halo_says_so() -> None:
    model = network(depth=14)
    halo = autorf.check(model, image_size=128).tiles.tiling.halo[0]
    memory = memory_model(model, 3, 2).at(2 * halo)
    tiles = autorf.check(model, image_size=128, memory=memory).tiles
    assert tiles.largest is not None
    assert tiles.largest < 2 * tiles.tiling.halo[0] + 2
    assert tiles.holds_exact is False
    assert autorf.check(model, image_size=128, memory="1GB").tiles.holds_exact is True


def test_pictures_of_many_sizes_are_told_by_size(tmp_path: Path) -> None:
    images, masks = write_pictures(tmp_path, OBJECTS, sizes=[(64, 64), (64, 96), (64, 64)])
    checked = autorf.check(network(), images, masks)
    assert [(row.size, row.pictures) for row in checked.sizes] == [((64, 64), 2), ((64, 96), 1)]
    assert checked.field.image_size == (64, 64)
    assert checked.sizes[0].rnorm == max(checked.field.size) / 64
    assert [row.typical_side for row in checked.sizes] == [40, 40]


def test_a_network_without_convolutions_sees_its_own_pixel(tmp_path: Path) -> None:
    images, masks = write_pictures(tmp_path, OBJECTS)
    checked = autorf.check(nn.Sequential(nn.Softplus()), images, masks)
    assert checked.field.size == (1, 1)
    assert checked.border.convolutions == 0
    assert (checked.advice, len(checked.too_large)) == (None, 2)
    assert any("no knob of the network" in note for note in checked.notes)


def test_255_is_no_class_unless_there_is_nothing_else(tmp_path: Path) -> None:
    images, masks = write_pictures(tmp_path / "a", {**OBJECTS, 255: [(0, 0, 2, 64)]})
    checked = autorf.check(network(), images, masks)
    assert [row.label for row in checked.objects] == [0, 1, 2]
    assert any("255 are taken for pixels without a class" in note for note in checked.notes)
    images, masks = write_pictures(tmp_path / "b", {255: [(0, 0, 20, 20)]})
    assert [row.label for row in autorf.check(network(), images, masks).objects] == [0, 255]


def test_pictures_without_masks_are_for_the_effective_field_alone(tmp_path: Path) -> None:
    images, _ = write_pictures(tmp_path, OBJECTS)
    checked = autorf.check(network(), images)
    assert checked.effective is not None
    assert (checked.effective.n_images, checked.objects, checked.sufficient) == (3, (), None)


def test_a_split_of_other_channels_than_three_is_checked_and_shown() -> None:
    torch.manual_seed(0)
    masks = torch.zeros(2, 48, 48, dtype=torch.uint8)
    masks[:, 10:30, 10:22] = 1
    images = torch.rand(2, 4, 48, 48) + masks[:, None]
    split = SegmentationSet(InMemory(images, masks), (48, 48), None, normalisation=unchanged(4))
    samples = SetSamples(split, ("background", "thing"), "a split")
    model = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 2, 3, padding=1))
    checked = autorf.check(model, samples=samples)
    assert checked.shown is not None
    assert (checked.shown.shape, checked.shown.dtype) == ((48, 48, 3), np.uint8)
    assert {row.name: row.typical for row in checked.objects} == {"background": 48, "thing": 20}
    assert checked.effective is not None
    named = autorf.check("largefov:test_byobnet", samples=samples, image_size=96)
    assert named.field.image_size == (96, 96)
    with pytest.raises(InputError, match="reads 3 channels and the pictures of 'a split' have 4"):
        autorf.check(network(), samples=samples)


def test_the_dictionary_is_the_contract(tmp_path: Path) -> None:
    images, masks = write_pictures(tmp_path, OBJECTS)
    found = autorf.check(network(), images, masks, memory="1GB").to_dict()
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {
        "model", "image_size", "weights", "field", "pictures", "objects", "layers", "sufficient", "advice", "tiles",
        "notes",
    }  # fmt: skip
    assert set(found["field"]) == {"rf", "rnorm", "stride", "global_context", "exact", "effective"}
    assert set(found["objects"][0]) == {
        "class", "label", "pictures", "objects", "sides", "typical_side", "background", "misfit",
    }  # fmt: skip
    assert set(found["tiles"]) >= {"halo", "multiple", "exact", "reason", "layers", "largest", "errors", "needs_bytes"}


def test_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    images, masks = write_pictures(tmp_path, OBJECTS)
    model = network(NORMS["batch norm"]).train()
    before = copy.deepcopy(model.state_dict())
    autorf.check(model, images, masks, memory="1GB")
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def _no_objects(folder: Path) -> Any:
    images, masks = write_pictures(folder, {})
    return autorf.check(network(), images, masks)


def _channels(folder: Path) -> Any:
    images, masks = write_pictures(folder, OBJECTS)
    return autorf.check(nn.Conv2d(1, 2, 3, padding=1), images, masks)


def _sizes_differ(folder: Path) -> Any:
    images, masks = write_pictures(folder, OBJECTS)
    Image.new("L", (32, 32)).save(masks / "0.png")
    return autorf.check(network(), images, masks)


WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "masks without objects": (_no_objects, "hold no object, only the background"),
    "a memory without a tile": (
        lambda _: autorf.check(network(), image_size=64, memory="1kB"),
        "1 kB holds not even one tile: the smallest, of 2x2 pixels, takes about",
    ),
    "other channels": (_channels, "reads 1 channel and the pictures of .* have 3; build it for these"),
    "a mask of another size": (_sizes_differ, "is 32 x 32 pixels, but its image is 64 x 64"),
    "masks alone": (lambda folder: autorf.check(network(), masks=folder), "masks without images"),
    "no folder": (lambda folder: autorf.check(network(), folder / "none"), "no such folder"),
    "an empty folder": (lambda folder: autorf.check(network(), folder), "no picture"),
    "no model": (lambda _: autorf.check(None), "check takes a torch.nn.Module"),  # type: ignore[arg-type]
    "a folder that is none": (lambda _: autorf.check(network(), 3), "images must be a folder, got an int"),  # type: ignore[arg-type]
    "a name of nothing": (lambda _: autorf.check("smp:Unett:resnet18"), "did you mean Unet"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_checked_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    call, said = WRONG[name]
    with pytest.raises(InputError, match=said) as refused:
        call(tmp_path)
    assert str(refused.value).isprintable()
