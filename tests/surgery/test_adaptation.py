"""Putting methods into a model: all or nothing."""

import copy

import pytest
import torch
from torch import nn

from autorf.errors import InputError
from autorf.methods import Dilation, Inflation, LearnedDilation
from autorf.surgery import adapt, adaptations, describe
from autorf.surgery.adaptation import adaptive_modules
from autorf.surgery.swap import region_at

from .conftest import everything

FIRST, SECOND, THIRD = (LearnedDilation(targets=(name,)) for name in ("first", "second", "third"))


def test_adapt_returns_the_model_itself(branching):
    assert adapt(branching, FIRST) is branching


def test_methods_on_disjoint_targets_nest(branching, image):
    before = branching(image)
    region = Inflation(start="second", end="second")
    adapt(branching, FIRST, region)
    adapt(branching, Dilation(targets=("third",), rate=1))
    assert torch.equal(branching(image), before)
    assert [(one.method.method, one.names) for one in adaptations(branching)] == [
        ("learned_dilation", ("first",)),
        ("inflation", ("second", "second")),
        ("dilation", ("third",)),
    ]


def test_adaptations_of_a_part_are_seen_from_the_whole(branching):
    adapt(branching, FIRST)
    whole = nn.ModuleDict({"net": branching})
    assert [one.names for one in adaptations(whole)] == [("net.first",)]
    with pytest.raises(InputError, match=r"'net.first' is already a target of the earlier learned_dilation"):
        adapt(whole, Dilation(targets=("net.first",), rate=2))


ERRORS = {
    "not a method": (("dilation",), "adapt takes methods such as Dilation"),
    "the second matches nothing": ((FIRST, Dilation(targets=("secnd",), rate=2)), "did you mean second"),
    "the second matches a strided layer": ((FIRST, Dilation(targets=("stem.0",), rate=2)), "'stem.0' has stride"),
    "overlapping layers": ((FIRST, Dilation(targets=("first",), rate=2)), "'first' is already a target of learned_dil"),
    "a region that overlaps a layer": ((SECOND, Inflation(start="second", end="second")), "'second' is already"),
    "a region with two exits": ((THIRD, Inflation(start="first", end="second")), "second exit"),
    "a region with two entries": ((Inflation(start="second", end="third"), Inflation(start="x", end="y")), "start 'x'"),
    "a missing region": ((FIRST, Inflation()), "start and end are required for a Branching"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_the_model_is_untouched_after_any_error(branching, case):
    methods, words = ERRORS[case]
    branching.first.register_forward_hook(lambda *_: None)
    branching.train().pool.eval()
    before = everything(branching)
    with pytest.raises(InputError, match=words):
        adapt(branching, *methods)
    assert everything(branching) == before


@pytest.mark.parametrize(
    ("model", "kind"), [(None, "None"), ("resnet18", "a str"), ({"model": nn.Identity()}, "a dict")]
)
def test_what_is_no_module_is_refused(model, kind):
    with pytest.raises(InputError, match=f"takes a torch.nn.Module .*, got {kind}"):
        adapt(model, FIRST)


def test_the_model_is_untouched_when_the_dry_run_fails(branching):
    before = everything(branching)
    with pytest.raises(InputError, match=r"dry run of the Branching on an input of shape \(1, 4, 16, 16\) failed"):
        adapt(branching, FIRST, example_input=torch.zeros(1, 4, 16, 16))
    assert everything(branching) == before


class _Shrinks(Dilation):
    """Replaces a layer by one that loses the border."""

    def replacements(self, layers):
        return {name: nn.Conv2d(6, 6, 3) for name in layers}


class _Interrupts(Dilation):
    """Replaces a layer by one that is interrupted."""

    def replacements(self, layers):
        return {name: _Interrupt() for name in layers}


class _Interrupt(nn.Module):
    def forward(self, input):
        raise KeyboardInterrupt


@pytest.mark.parametrize(("method", "error"), [(_Shrinks, InputError), (_Interrupts, KeyboardInterrupt)])
def test_what_was_swapped_is_put_back_when_the_dry_run_shows_a_fault(chain, image, method, error):
    before = everything(chain)
    others = (LearnedDilation(targets=("0",)), Inflation(start="4", end="4"))
    with pytest.raises(error):
        adapt(chain, *others, method(targets=("3",), rate=1), example_input=image)
    assert everything(chain) == before


def test_a_dry_run_that_changes_the_output_shape_is_an_error_with_both_shapes(chain, image):
    with pytest.raises(InputError, match=r"\(2, 4, 31, 39\) instead of \(2, 4, 33, 41\)"):
        adapt(chain, _Shrinks(targets=("3",), rate=1), example_input=image)


def test_modes_of_single_modules_and_random_numbers_survive_the_dry_run(chain, image):
    chain.train()[1].eval()
    state = torch.get_rng_state()
    adapt(chain, Inflation(start="3", end="3"), example_input=image)
    assert (chain.training, chain[1].training, chain[2].training) == (True, False, True)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_layer_with_two_names_is_exchanged_under_both(chain, image):
    model = nn.ModuleDict({"net": chain, "again": chain[3]})
    adapt(model, Dilation(targets=("net.3",), rate=2))
    assert model["again"] is chain[3]
    assert chain[3].dilation == (2, 2)


def test_hooks_of_an_exchanged_layer_still_run_and_their_handles_still_remove_them(branching, image):
    seen = []
    handle = branching.first.register_forward_hook(lambda *_: seen.append(1))
    adapt(branching, FIRST)
    branching(image)
    handle.remove()
    branching(image)
    assert seen == [1]


@pytest.mark.parametrize("order", ["region first", "layer first", "both at once", "both at once, layer first"])
@pytest.mark.parametrize("layer", [LearnedDilation(targets=("net.0",)), Dilation(targets=("net.0",), rate=1)])
def test_a_region_keeps_its_factor_when_its_first_layer_is_adapted_too(image, order, layer):
    model = nn.ModuleDict({"net": nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))})
    model.forward = lambda image: model["net"](image)
    region = Inflation(start="net", end="net")
    calls = {
        "region first": [(region,), (layer,)],
        "layer first": [(layer,), (region,)],
        "both at once": [(region, layer)],
        "both at once, layer first": [(layer, region)],
    }
    for methods in calls[order]:
        adapt(model, *methods)
    factor = region_at(model["net"]).factor
    assert "net.0.inflation.factor" in dict(model.named_parameters())
    assert model.get_parameter("net.0.inflation.factor") is factor
    before = model(image)
    with torch.no_grad():
        factor.fill_(1.5)
    assert not torch.equal(model(image), before)


def test_a_region_can_hold_adapted_layers_and_other_regions(branching, image):
    model = nn.ModuleDict({"net": branching})
    model.forward = lambda image: model["net"](image)
    before = model(image)
    adapt(model, Inflation(start="net.third", end="net.third"), LearnedDilation(targets=("net.second",)))
    assert torch.equal(model(image), before)
    assert set(adaptive_modules(model)) == {"net.third.inflation", "net.second"}


def test_a_deep_copy_of_an_adapted_model_is_adapted_by_itself(branching, image):
    adapt(branching, Inflation(start="second", end="second"))
    twin = copy.deepcopy(branching)
    before = branching(image)
    with torch.no_grad():
        region_at(twin.second).factor.fill_(2.0)
    assert torch.equal(branching(image), before)
    assert not torch.equal(twin(image), before)
    assert str(describe(twin)).endswith("f 2")


class Collecting(nn.Module):
    """Registers on its first run what collects its maps, and never again, as transformers' models do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.is_ready = nn.Conv2d(3, 3, 3, padding=1), False
        self.maps: list[torch.Tensor] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if not self.is_ready:
            self.layer.register_forward_hook(lambda _, __, output: self.maps.append(output))
            self.is_ready = True
        self.maps.clear()
        self.layer(image)
        return self.maps[-1]


def test_hooks_that_a_model_registers_on_its_first_run_outlive_the_look_at_its_targets() -> None:
    model = adapt(Collecting(), Dilation(targets="layer", rate=2))
    assert model(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)
