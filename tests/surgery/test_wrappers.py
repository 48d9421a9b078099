"""Wrappers: what is inside is changed where that is right, and names never carry their prefixes."""

import warnings

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from autorf.errors import InputError
from autorf.methods import Dilation, Inflation, LearnedDilation
from autorf.surgery import adapt, adaptations, advance, describe, freeze, load, plain_state_dict, save, verify
from autorf.surgery.adaptation import adaptive_modules
from autorf.surgery.wrappers import clean_names, named_modules, submodule, unwrapped

from .conftest import Branching

LEARNED = LearnedDilation(targets=("first",))


def test_of_a_compiled_model_the_one_inside_is_adapted_under_its_own_names(branching):
    wrapped = torch.compile(branching, backend="eager")
    assert adapt(wrapped, LEARNED, Inflation(start="second", end="third")) is wrapped
    assert type(branching.first).__name__ == "LearnedDilationConv2d"
    assert [done.names for done in adaptations(wrapped)] == [("first",), ("second", "third")]
    assert [change.name for change in describe(wrapped).changes] == ["first", "second to third"]
    advance(wrapped, 1, 1)
    assert freeze(wrapped).folded == ("first", "second.inflation")
    assert not any("_orig_mod" in key for key in plain_state_dict(wrapped))


def test_of_a_compiled_part_too(branching, tmp_path):
    whole = nn.ModuleDict({"net": torch.compile(branching, backend="eager")})
    adapt(whole, LearnedDilation(targets=("net.first",)))
    assert list(adaptive_modules(whole)) == ["net.first"]
    assert submodule(whole, "net.first") is branching.first
    loaded = load(lambda: nn.ModuleDict({"net": Branching()}), save(whole, tmp_path))
    assert [done.names for done in adaptations(loaded)] == [("net.first",)]


def test_what_is_said_of_a_wrapped_model_names_what_is_inside(branching):
    wrapped = nn.DataParallel(adapt(branching, LEARNED, Inflation(start="second", end="third")))
    assert [change.name for change in describe(wrapped).changes] == ["first", "second to third"]
    early = torch.optim.SGD([branching.first.weight], lr=0.1)
    assert verify(wrapped, early)[0].startswith("'second.inflation.factor' is in no optimizer")
    whole = nn.ModuleDict({"net": wrapped})
    assert verify(whole, early)[0].startswith("'net.second.inflation.factor' is in no optimizer")
    with pytest.raises(InputError, match=r"nothing was searched in 'net\.first'"):
        freeze(whole)


def test_names_without_wrappers():
    net = nn.Sequential(nn.Conv2d(3, 3, 1))
    whole = nn.ModuleDict({"a": nn.DataParallel(net)})
    assert [name for name, _ in named_modules(whole)] == ["", "a", "a.0"]
    assert clean_names(whole)("a.module.0.weight") == "a.0.weight"
    assert unwrapped(nn.DataParallel(nn.DataParallel(net))) is net


@pytest.mark.parametrize(
    ("wrap", "words"),
    [
        (
            nn.DataParallel,
            "'first' lies inside a DataParallel: wrap the adapted model in DistributedDataParallel instead",
        ),
        (AveragedModel, "'first' lies inside a AveragedModel: adapt the model first, then make its average"),
    ],
)
def test_what_would_not_take_notice_is_refused_by_name(branching, wrap, words):
    wrapped = wrap(branching)
    with pytest.raises(InputError, match=words):
        adapt(wrapped, LEARNED)
    assert adaptive_modules(branching) == {}


def test_what_adds_nothing_to_the_state_goes_into_a_parallel_wrapper(branching):
    adapt(nn.DataParallel(branching), Dilation(targets=("first",), rate=2))
    assert branching.first.dilation == (2, 2)


def test_a_target_inside_a_scripted_part_is_refused_by_name():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.script is deprecated
        part = torch.jit.script(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1)))
    model = nn.Sequential(part, nn.Conv2d(3, 2, 1))
    with pytest.raises(
        InputError, match=r"'0\.0' lies inside a module compiled by torch.jit: adapt and freeze it first"
    ):
        adapt(model, LearnedDilation(targets=("0.0",)))


def test_a_replica_on_another_device_is_refused(branching):
    adapt(branching, Inflation(start="second", end="second"))
    with pytest.raises(InputError, match="use DistributedDataParallel"):
        branching.second._replicate_for_data_parallel()
