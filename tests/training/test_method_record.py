"""A checkpoint's record of the methods keeps its meaning when a later version has another default."""

from typing import Any

import pytest
import torch
from torch import nn

import autorf
from autorf.errors import InputError
from autorf.training.method_record import in_brief, is_same, methods_in

LAYERS = ("0", "1")


def attached(**fields: Any) -> autorf.Handle:
    model = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1))
    method = autorf.LearnedDilation(targets=LAYERS, rates=(1, 2), **fields)
    return autorf.attach(model, torch.optim.AdamW(model.parameters()), method, 10)


def before_layers_shared(handle: autorf.Handle) -> dict[str, Any]:
    """A state of a version that knew no sharing: each layer had a search of its own."""
    (method,) = handle.state_dict()["methods"]
    return {**handle.state_dict(), "methods": [{key: value for key, value in method.items() if key != "shared"}]}


def test_a_record_is_whole_and_names_what_is_the_default_today() -> None:
    (method,) = methods_in(attached().model)
    assert method["shared"] is True
    assert set(method) == set(autorf.LearnedDilation.model_fields)


def test_a_state_of_layers_that_shared_nothing_goes_on_by_those_alone() -> None:
    apart, together = attached(shared=False), attached()
    apart.load_state_dict(before_layers_shared(apart))
    with pytest.raises(InputError, match=r"other methods or targets: .*shared.*, here "):
        together.load_state_dict(before_layers_shared(together))


def test_an_unknown_method_and_no_record_at_all_are_other_ones() -> None:
    own = methods_in(attached().model)
    for stored in ([{"method": "of a package that is gone"}], [3], 3, []):
        assert not is_same(stored, own)
        assert in_brief(stored) == stored
