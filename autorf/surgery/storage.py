"""Saving an adapted model, and building it again."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

import autorf
from autorf.errors import InputError, a_type, near_names
from autorf.files import write_atomically
from autorf.ops._arguments import check_module, check_path, kind_of
from autorf.surgery.adaptation import Plan, adaptations, carry_out
from autorf.surgery.freezing import exchange, record_frozen
from autorf.surgery.frozen_state import mark_frozen
from autorf.surgery.learning import in_present_format
from autorf.surgery.record import CHANGED, Adaptation
from autorf.surgery.scopes import SCOPES
from autorf.surgery.sharding import is_sharded
from autorf.surgery.sidecar import (
    BUILDER,
    SavedAdaptation,
    Sidecar,
    first_differences,
    geometry,
    method_of,
    parse_sidecar,
    read_sidecar,
    saved_adaptations,
)
from autorf.surgery.state_mark import MARK, is_mark, set_mark
from autorf.surgery.verification import say_problems
from autorf.surgery.weights_file import fingerprint, read_weights, tensors_of, weights_bytes
from autorf.surgery.wrappers import clean_names, named_modules, unwrapped

WEIGHTS = "model.safetensors"
SIDECAR = "autorf.json"


def save(model: nn.Module, folder: str | Path) -> Path:
    """Write ``model``'s weights as safetensors and a record of its adaptations, frozen ones included.

    Args:
        model: adapted or not; of wrappers, what is inside. One that is sharded by ``fully_shard`` is gathered: call it
            in every process, and the first one writes.
        folder: made where it does not exist; holds ``model.safetensors`` and ``autorf.json`` afterwards.

    Returns:
        The folder.

    Raises:
        InputError: for state that is no tensor, an adaptation that could not be rebuilt, or a part of a model that was
            adapted as a whole.

    Warns:
        TrainingWarning: once, where a search is not over, or something was not trained as it should be.

    Note:
        Tensors that share memory are written once each.

    Examples:
        >>> import autorf, tempfile
        >>> from torch import nn
        >>> model = autorf.adapt(nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)), autorf.Dilation(targets="0", rate=2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sorted(file.name for file in autorf.save(model, folder).iterdir())
        ['autorf.json', 'model.safetensors']
    """
    check_module("save", model)
    check_path("save", "folder", folder)
    folder, model = Path(folder), unwrapped(model)
    _refuse_part(model)
    say_problems(model)
    saved = saved_adaptations(model)
    sharded = is_sharded(model)
    tensors = tensors_of(model)
    sidecar = Sidecar(
        autorf=autorf.__version__,
        model=type(model).__name__,
        adaptations=saved,
        geometry=geometry(model),
        weights_sha256=fingerprint(tensors),
        builder=next((vars(module)[BUILDER] for module in model.modules() if BUILDER in vars(module)), None),
    )
    if not sharded or torch.distributed.get_rank() == 0:
        # The weights carry the record too: whenever this process is killed, they are one whole model, old or new.
        write_atomically(folder / WEIGHTS, weights_bytes(tensors, sidecar.model_dump_json(exclude_none=True)))
        write_atomically(folder / SIDECAR, sidecar.model_dump_json(indent=1, exclude_none=True) + "\n")
    if sharded:
        torch.distributed.barrier()
    return folder


def _refuse_part(model: nn.Module) -> None:
    """Raise where ``model`` was changed as a part of a larger one, which alone remembers how."""
    own = {name for adaptation in adaptations(model) for name in adaptation.names}
    for name, module in named_modules(model):
        if CHANGED in vars(module) and name not in own:
            raise InputError(
                f"save: {name!r} was changed by {vars(module)[CHANGED]} when a larger model was adapted, of which this "
                f"{type(model).__name__} is a part; save that model, or give adapt this part alone"
            )


def load(build: Callable[[], nn.Module], folder: str | Path) -> nn.Module:
    """The model that :func:`save` wrote to ``folder``.

    Args:
        build: gives a fresh model as it was before ``adapt``, or one that has adapted itself in the same way; its
            weights do not matter.
        folder: written by :func:`save`.

    Returns:
        A model of ``build`` with the same methods, frozen or not, and the saved weights in their saved precision.

    Raises:
        InputError: for a missing, damaged or foreign file, a record of another version, weights that are a pickle, a
            changed layer that the fresh model lacks, a model that has adapted itself in another way or is sharded, or
            any difference in names, shapes or geometry.

    Examples:
        >>> import autorf, tempfile
        >>> from torch import nn
        >>> def build():
        ...     return nn.Sequential(nn.Conv2d(3, 2, 3, padding=1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     folder = autorf.save(autorf.adapt(build(), autorf.Dilation(targets="0", rate=2)), folder)
        ...     autorf.load(build, folder)[0].dilation
        (2, 2)
    """
    check_path("load", "folder", folder)
    if not callable(build):
        raise InputError(f"load: build must be a function that gives a model, got {kind_of(build)}")
    source = Path(folder) / SIDECAR
    sidecar, weights = _read(Path(folder))
    model = build()
    if not isinstance(model, nn.Module):
        raise InputError(f"load: build() must return a module, it returned {a_type(model)}")
    if is_sharded(model):
        raise InputError("load: build() returned a model sharded by fully_shard; shard the one that load returns")
    if adaptations(model):
        _freeze_as_saved(model, sidecar, str(source))
    else:
        for saved in sidecar.adaptations:
            carry_out(model, [_plan(model, saved, sidecar, str(source))])
    if any(saved.frozen for saved in sidecar.adaptations):
        _mark(model, weights)
    weights = in_present_format(model, weights)
    _check_same(model, weights, sidecar, str(source))
    _take_precision(model, weights)
    model.load_state_dict(weights, strict=True)
    return model


def _read(folder: Path) -> tuple[Sidecar, dict[str, Tensor]]:
    """The record and the weights; the copy of the record in the weights where a save was cut off before the other."""
    source, path = folder / SIDECAR, folder / WEIGHTS
    beside = read_sidecar(source) if source.exists() or not path.exists() else None
    weights, record = read_weights(path)
    digest = fingerprint(weights)
    if beside is not None and beside.weights_sha256 == digest:
        return beside, weights
    inside = None if record is None else parse_sidecar(record, str(path))
    if inside is None or inside.weights_sha256 != digest:
        raise InputError(f"{path}: is damaged, or not the file that {SIDECAR} was written with; save the model again")
    return inside, weights


def _freeze_as_saved(model: nn.Module, sidecar: Sidecar, source: str) -> None:
    """Freeze what is frozen in the record of a ``model`` that has adapted itself as it says.

    Raises:
        InputError: when it has not.
    """
    own = adaptations(model)
    saved = [Adaptation(method_of(each, source), each.names) for each in sidecar.adaptations]
    if list(own) != saved:
        raise InputError(
            f"load: build() returned an adapted model, and not as the saved one was adapted: {_words(own)}, saved "
            f"{_words(saved)}; let build() return it as it was before autorf.adapt"
        )
    plain: dict[str, nn.Module] = {}
    for each in sidecar.adaptations:
        scope = SCOPES[str(method_of(each, source).scope)]
        for name, form in each.frozen.items():
            plain |= scope.plain(model, name, form)
    exchange(model, plain)
    record_frozen(model, plain)


def _words(done: Sequence[Adaptation]) -> str:
    return ", ".join(f"{each.method.method} of {' to '.join(each.names)}" for each in done) or "nothing"


def _mark(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Mark ``model`` as frozen where the saved one was; one that was saved before there were marks, as a whole."""
    marks = {key: value for key, value in weights.items() if is_mark(key)}
    if not marks:
        mark_frozen(model)
        weights.update({key: value for key, value in model.state_dict().items() if is_mark(key)})
        return
    for module in model.modules():
        module._buffers.pop(MARK, None)
    modules = dict(named_modules(model))
    for key, value in marks.items():
        if (holder := modules.get(key.rpartition(".")[0])) is not None:
            set_mark(holder, value)


def _plan(model: nn.Module, saved: SavedAdaptation, sidecar: Sidecar, source: str) -> Plan:
    method = method_of(saved, source)
    modules = dict(named_modules(model))
    for name in (*saved.names, *saved.frozen):
        if name not in modules:
            raise InputError(
                f"{source}: the layer {name!r} is missing in the model of build(), {a_type(model)} "
                f"(saved: a {sidecar.model}){near_names(name, modules)}"
            )
    done = Adaptation(method, saved.names, tuple(saved.frozen))
    scope = SCOPES[method.scope]
    try:
        return Plan(done, scope.restored(model, method, saved.names, saved.frozen, saved.values_per_position))
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def _check_same(model: nn.Module, weights: Mapping[str, Tensor], sidecar: Sidecar, source: str) -> None:
    """Raise with the first differences between the rebuilt ``model`` and what was saved."""
    clean = clean_names(model)
    shapes = {clean(name): str(tuple(value.shape)) for name, value in model.state_dict().items()}
    saved = {name: str(tuple(value.shape)) for name, value in weights.items()}
    lines = _differences(shapes, saved)
    if not lines:
        lines = _differences(geometry(model), sidecar.geometry)
    if lines:
        raise InputError(
            f"{source}: the model of build(), {a_type(model)}, is not the saved {sidecar.model}: "
            f"{first_differences(lines)}"
        )


def _differences(built: Mapping[str, str], saved: Mapping[str, str]) -> list[str]:
    names = [*built, *(name for name in saved if name not in built)]
    return [
        f"{name} is {built.get(name, 'absent')}, saved {saved.get(name, 'absent')}"
        for name in names
        if built.get(name) != saved.get(name)
    ]


def _take_precision(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    state = model.state_dict(keep_vars=True)
    with torch.no_grad():
        for name, value in weights.items():
            if state[name].dtype != value.dtype:
                state[name].data = state[name].data.to(value.dtype)
