"""Methods of another package, one for layers and one for a region, keep the contract by what their base gives them."""

import pytest
import torch

from autorf.methods import METHODS, Method
from autorf.methods.modules import AdaptiveRegion
from autorf.surgery import adapt, describe, freeze
from autorf.surgery.swap import region_at
from autorf.testing.contract import CHECKS, Case
from tests.outside.theirs.doubling import Doubling
from tests.outside.theirs.network import Plain, build
from tests.outside.theirs.two_rates import TwoRates

IMAGES = torch.randn(2, 3, 20, 28, generator=torch.Generator().manual_seed(0))


def plain() -> Plain:
    model = build("4", None, 3)
    assert isinstance(model, Plain)
    return model


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "two_rates", TwoRates)
    monkeypatch.setitem(METHODS, "doubling", Doubling)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("method", [TwoRates(), Doubling()], ids=["layers", "region"])
def test_methods_of_another_package_keep_the_contract(method: Method, check: str) -> None:
    CHECKS[check](Case(plain, method, IMAGES))


def test_a_region_is_held_under_its_method_s_name_and_described_and_frozen_by_what_it_says() -> None:
    model = adapt(plain(), Doubling())
    region = region_at(model.get_submodule("2"))
    assert isinstance(region, AdaptiveRegion)
    assert model.get_submodule("2.doubling") is region
    assert region.values_per_position > 0
    (change,) = describe(model).changes
    assert (change.name, change.method, change.values) == ("2 to 3", "doubling", {"f": 1.0})
    assert freeze(model).folded == ("2.doubling",)
    assert describe(model).changes[0].frozen
