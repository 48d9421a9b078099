"""How the state of a frozen model is told from every other: by one small buffer whose name says what to do."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from autorf.surgery.record import RECORD, Adaptation

MARK = "frozen_by_autorf_so_use_autorf_load_or_autorf_plain_state_dict"
"""The buffer's name, at the end of its key: what strict loading into another model complains of."""


_WATCHED = "autorf_watches_loading"
"""The attribute of a module that looks at the states it is given."""


def is_mark(key: str) -> bool:
    """Whether ``key`` of a state is the mark of a frozen model."""
    return key.rpartition(".")[2] == MARK


def set_mark(module: nn.Module, value: Tensor) -> None:
    """Give ``module`` the mark of that value, on the device of its parameters."""
    device = next((parameter.device for parameter in module.parameters()), value.device)
    module.register_buffer(MARK, value.to(device=device, dtype=torch.int64))
    watch_loading(module)


def watch_loading(module: nn.Module) -> None:
    """Have ``module`` refuse states of another phase when one is loaded into it or into a model that holds it."""
    if not vars(module).get(_WATCHED, False):
        module.register_load_state_dict_pre_hook(_refuse_other_phases)
        setattr(module, _WATCHED, True)


def _refuse_other_phases(
    module: nn.Module,
    state: Mapping[str, Any],
    prefix: str,
    metadata: Any,
    strict: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    """Add the reason why ``state`` does not belong into ``module``; torch raises it with its own."""
    present, loaded = module._buffers.get(MARK), state.get(prefix + MARK)
    if loaded is not None and present is None:
        errors.append(
            "autorf: this state is of a frozen model (after autorf.freeze), and this model is not frozen: load it by "
            "autorf.load, or freeze this one at the same values first"
        )
    elif loaded is not None and present is not None and int(loaded) != int(present):
        errors.append(
            "autorf: this state is of a model that was frozen at other values than this one (another dilation or "
            "factor): load it by autorf.load into a new model"
        )
    elif present is not None and loaded is None and _of_before_freezing(module, state, prefix):
        errors.append(
            "autorf: this state is of the adapted model before autorf.freeze: load it into the model before you freeze "
            "that"
        )


def _of_before_freezing(module: nn.Module, state: Iterable[str], prefix: str) -> bool:
    """Whether ``state`` holds more of the frozen layers than they have themselves."""
    record: tuple[Adaptation, ...] = vars(module).get(RECORD, ())
    starts = tuple(f"{prefix}{name}." for adaptation in record for name in adaptation.frozen)
    own = {prefix + key for key in module.state_dict()}
    return any(key.startswith(starts) and key not in own for key in state)
