"""Regions: one way in, one way out, and the map back at its size."""

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn
from torch.nn import functional

from autorf.errors import InputError
from autorf.methods import Inflation
from autorf.networks import build
from autorf.surgery import adapt
from autorf.surgery.swap import region_at


def inflated(model, start, end, **options):
    return adapt(model, Inflation(start=start, end=end), **options)


def test_a_second_exit_is_named(branching):
    with pytest.raises(
        InputError, match="'first' to 'second' has a second exit: the map of 'first' also goes to 'side'"
    ):
        inflated(branching, "first", "second")


def test_a_second_entry_is_named(branching):
    with pytest.raises(InputError, match=r"'third' to 'head' has a second entry: '' also reads a map of 'stem.1'"):
        inflated(branching, "third", "head")


def test_a_global_vector_may_enter(branching, image):
    before = branching(image)
    assert torch.equal(inflated(branching, "second", "third")(image), before)


def test_the_map_comes_back_at_exactly_its_size(branching):
    inflated(branching, "second", "third")
    with torch.no_grad():
        for factor in (0.25, 0.71, 1.0, 1.9, 4.0):
            region_at(branching.second).factor.fill_(factor)
            for size in ((8, 8), (33, 41), (64, 10), (2, 2)):
                assert branching(torch.randn(1, 3, *size)).shape[2:] == ((size[0] + 1) // 2, (size[1] + 1) // 2)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("first", "stem.0", "the map of end 'stem.0' is not computed from start 'first'"),
        ("stem", "first", r"changes the map's size from \(96, 128\) to \(48, 64\); choose one of stride 1"),
        ("first", "secnd", "end 'secnd' is no module of the model; did you mean second"),
        ("pool", "gate", r"changes the map's size from \(48, 64\) to \(1, 1\)"),
    ],
)
def test_a_region_that_cannot_be_is_refused(branching, start, end, words):
    with pytest.raises(InputError, match=words):
        inflated(branching, start, end)


class Irregular(nn.Module):
    """Modules that no region can begin or end with."""

    def __init__(self):
        super().__init__()
        self.twice = nn.Conv2d(3, 3, 3, padding=1)
        self.pairs = Pairs()
        self.unused = nn.Conv2d(3, 3, 1)
        self.named = Named()
        self.fixed = Fixed()
        self.last = nn.Conv2d(3, 2, 1)

    def forward(self, image):
        first, second = self.pairs([self.twice(self.twice(image)), image])
        return self.last(self.fixed(self.named(image=first + second)))


class Pairs(nn.Module):
    def forward(self, maps):
        return maps


class Named(nn.Module):
    def forward(self, image):
        return image + 0


class Fixed(nn.Module):
    """A learned value for every position of one size."""

    def __init__(self):
        super().__init__()
        self.values = nn.Parameter(torch.zeros(1, 3, 12, 12))

    def forward(self, image):
        return image + self.values


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("twice", "last", "start 'twice' runs 2 times in one forward, not once"),
        ("unused", "last", "start 'unused' runs 0 times"),
        ("pairs", "last", "start 'pairs' takes a list as its first argument, not a map"),
        ("fixed", "pairs", "end 'pairs' returns a list, not a map"),
        ("named", "last", "start 'named' takes a NoneType as its first argument"),
        ("fixed", "fixed", "does not take a map of another size: The size of tensor"),
    ],
)
def test_a_module_that_no_region_begins_or_ends_with_is_named(start, end, words):
    with pytest.raises(InputError, match=words):
        inflated(Irregular(), start, end, example_input=torch.zeros(1, 3, 12, 12))


def test_a_model_that_does_not_take_the_guessed_image_asks_for_an_example():
    with pytest.raises(
        InputError, match=r"dry run of the Irregular on .*\(1, 3, 96, 128\) failed: .*pass an example_in"
    ):
        inflated(Irregular(), "last", "last")


class Crops(nn.Module):
    """Notices the size of its map without reading the map."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 3, 3, padding=1)
        self.wide = nn.Conv2d(3, 3, 1)

    def forward(self, image):
        body = self.body(image)
        return functional.pad(self.wide(body), (0, body.shape[3] - image.shape[3]))


def test_a_size_that_goes_around_the_region_is_found():
    with pytest.raises(InputError, match="changes the model's output from"):
        inflated(Crops(), "body", "wide")


class Wrapped(nn.Module):
    """Returns its map inside an object of a class of its own."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, image):
        return Result(self.net(image))


class Result:
    def __init__(self, logits):
        self.logits = logits


def test_a_second_exit_is_found_whatever_the_model_returns(branching, image):
    with pytest.raises(InputError, match=r"'net.first' to 'net.second' has a second exit"):
        inflated(Wrapped(branching), "net.first", "net.second")
    before = branching(image)
    assert torch.equal(inflated(Wrapped(branching), "net.second", "net.third")(image).logits, before)


def test_an_unused_branch_is_no_exit(branching, image):
    before = branching(image) - branching.side(branching.first(branching.stem(image)))
    branching.side.forward = lambda value: 0.0
    torch.testing.assert_close(inflated(branching, "first", "second")(image), before)


def test_regions_of_real_networks_are_judged_by_what_their_decoders_use():
    options = {"encoder_weights": None, "encoder_output_stride": 16}
    deeplab = smp.DeepLabV3Plus("resnet18", **options).eval()
    image = torch.randn(1, 3, 64, 64)
    before = deeplab(image)
    assert torch.equal(inflated(deeplab, "encoder.layer4", "decoder.aspp", example_input=image)(image), before)
    pan = smp.UPerNet("resnet18", encoder_weights=None, decoder_channels=32).eval()
    with pytest.raises(InputError, match=r"second exit|changes the map's size"):
        inflated(pan, "encoder.layer3.1", "encoder.layer4.1")


def test_a_transformer_block_that_runs_over_tokens_is_refused():
    from timm import create_model

    with pytest.raises(
        InputError, match=r"start 'blocks.0' takes a tensor of shape \(1, \d+, 64\) as its first argument"
    ):
        inflated(create_model("test_vit"), "blocks.0", "blocks.1")


def test_the_networks_own_region_is_used_where_none_is_named():
    model = build("largefov:test_byobnet", 3)
    adapt(model, Inflation())
    assert region_at(model.head.conv6) is model.head.conv6.inflation
