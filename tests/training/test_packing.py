import math
from collections import OrderedDict

import pytest
import torch

from autorf.training.packing import moved, pack, unpack


def test_what_is_packed_comes_back_with_its_types_and_bits() -> None:
    shared = torch.arange(4.0)
    state = {
        "weights": OrderedDict(a=shared, b=shared.view(2, 2), t=torch.ones(2, 3).T, scalar=torch.tensor(7)),
        3: [1, 2.5, None, True, "text", (1, (2,))],
        "odd": [math.inf, -0.1, 1e-310, {}, [], ()],
        "half": torch.tensor([1.5], dtype=torch.bfloat16),
    }
    found = unpack(pack(state))
    assert found[3] == state[3]
    assert found["odd"] == state["odd"]
    assert isinstance(found[3][5], tuple)
    for name, tensor in state["weights"].items():
        assert torch.equal(found["weights"][name], tensor)
    assert found["half"].dtype == torch.bfloat16
    assert moved(found, "meta")["weights"]["a"].is_meta


def test_what_is_no_plain_value_is_refused_with_its_place() -> None:
    with pytest.raises(TypeError, match=r"state\.a\.1: a set"):
        pack({"a": [0, {1}]})


def test_every_cut_is_noticed() -> None:
    content = pack({"weights": torch.ones(8), "epoch": 3})
    for length in range(len(content)):
        with pytest.raises(ValueError, match="is cut or damaged"):
            unpack(content[:length])


def test_a_newer_version_is_refused() -> None:
    with pytest.raises(ValueError, match="newer autorf"):
        unpack(pack({}).replace(b'\\"version\\": 1', b'\\"version\\": 9'))
