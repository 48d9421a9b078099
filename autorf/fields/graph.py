"""Capturing a network's graph of operators, without computing or allocating its activations."""

from __future__ import annotations

import linecache
import logging
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from autorf.errors import InputError, near_names
from autorf.fields.recording import record

Output = str | int | None

_TORCH = str(Path(torch.__file__).parent)


MAIN = ("out", "logits")
"""Keys of the output that is scored, where a model returns several by name."""


class Captured(NamedTuple):
    """A graph, its placeholder of the image, and the keys or positions of its maps where it returns several."""

    graph: fx.Graph
    image: str
    keys: tuple[str, ...] = ()


def capture(
    model: nn.Module, image_size: tuple[int, int], output: Output, in_channels: int, *, every: bool = False
) -> Captured:
    """The graph of ``model`` in evaluation mode on an input ``(1, in_channels, *image_size)``.

    Modules with a ``receptive_field_form`` run it in place of their forward. The model is left as it was.

    Args:
        model: to capture.
        image_size: height and width.
        output: which one the graph returns.
        in_channels: of the input.
        every: whether the graph returns every map that the model does, where no ``output`` is asked for.

    Raises:
        InputError: if the model refuses this input or cannot be traced.
    """
    image = _example(model, image_size, in_channels)
    with _evaluation_mode(model), _forward_replaced(_forms(model)), _own_checks(model), _quiet(), torch.no_grad():
        # Whatever cannot be recorded is exported: more slowly, but with values of a kind, and reasons for refusals.
        with suppress(Exception):
            return _captured(_recorded, model, image, output, every=every)
        try:
            return _captured(_exported, model, image, output, every=every)
        except InputError:
            raise
        except Exception as error:
            cause = error.cause if isinstance(error, _Stopped) else error
            raise explained(model, image.shape, cause) from cause


def _captured(
    graph: Callable[[nn.Module, Tensor], tuple[fx.Graph, str]],
    model: nn.Module,
    image: Tensor,
    output: Output,
    *,
    every: bool,
) -> Captured:
    keys: dict[str, None] = {}
    chosen = _Chosen(model, output, keys.update if every and output is None else None)
    with chosen.watching():
        return Captured(*graph(chosen, image), tuple(keys))


def _recorded(chosen: nn.Module, image: Tensor) -> tuple[fx.Graph, str]:
    return record(chosen, image), "image"


def _exported(chosen: nn.Module, image: Tensor) -> tuple[fx.Graph, str]:
    program = torch.export.export(chosen, (image,), strict=False)
    (name,) = program.graph_signature.user_inputs
    return program.graph, str(name)


OTHER_IMAGE = "try another image_size or in_channels"
"""The repair where no image is known that the model takes."""


class RefusedImageError(InputError):
    """The model itself fails on an image of this shape."""


class _Stopped(Exception):  # noqa: N818
    """An error of the model on its way out of ``torch.export``."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


class _Chosen(nn.Module):
    """The model with one output map, or every one, picked out of whatever it returns."""

    def __init__(self, model: nn.Module, output: Output, note_keys: Callable[[Any], None] | None) -> None:
        super().__init__()
        self.model = model
        # Not kept here: torch.export takes back whatever a forward pass changes in the module.
        self._output, self._note_keys = output, note_keys
        self._module = dict(model.named_modules()).get(output) if isinstance(output, str) else None
        self._seen: list[Any] = []

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        try:
            result: Any = self.model(image)
        except Exception as error:
            # torch.export prints the graph so far for some errors of the model; not for one it does not know.
            raise _Stopped(error) from error
        if self._module is None:
            maps = {} if self._output is not None else output_maps(result)
            if len(maps) > 1 and self._note_keys is not None:
                self._note_keys(dict.fromkeys(map(str, maps)))
                return tuple(maps.values())
            if len(maps) > 1 and main_key(maps) is None:
                raise InputError("output: the model returns several maps; choose one with output=")
            return pick_output(self.model, result, self._output)
        if not self._seen:
            raise InputError(f"output: module {self._output!r} does not run")
        return _pick(self._seen[-1], None, [])

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note the outputs of the chosen module; once there is one, let nothing later fail."""
        if self._module is None:
            yield
            return
        hook = self._module.register_forward_hook(lambda _module, _args, value: self._seen.append(value))
        forwards = [(module, self._tolerant(module.forward)) for module in self.model.modules()]
        try:
            with _forward_replaced(forwards):
                yield
        finally:
            hook.remove()

    def _tolerant(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        def tolerant(*args: Any, **kwargs: Any) -> Any:
            try:
                return forward(*args, **kwargs)
            except Exception:
                if not self._seen:
                    raise
                return self._seen[-1]

        return tolerant


def output_maps(result: Any) -> dict[str | int, Tensor]:
    """The maps ``(N, C, H, W)`` in what a model returned, by key or position; empty for a single tensor."""
    if isinstance(result, Mapping):
        named = dict(result)
    elif isinstance(result, (list, tuple)):
        named = dict(enumerate(result))
    else:
        return {}
    return {key: value for key, value in named.items() if isinstance(value, Tensor) and value.dim() == 4}


def main_key(keys: Iterable[str | int]) -> str | None:
    """The key of the output that is scored, where one of several is."""
    named = set(keys)
    return next((key for key in MAIN if key in named), None)


def pick_output(model: nn.Module, result: Any, output: Output) -> Tensor:
    """The tensor that ``output`` names in what ``model`` returned: by key, by position, or the only one.

    Raises:
        InputError: if there is no such output, with near names.
    """
    return _pick(result, output, [name for name, _ in model.named_modules() if name])


def _pick(result: Any, output: Output, modules: Sequence[str]) -> Tensor:
    if isinstance(output, str) or isinstance(result, Mapping):
        return _pick_named(result, output, modules)
    if isinstance(result, (list, tuple)):
        position = 0 if output is None else output
        if not -len(result) <= position < len(result):
            raise InputError(f"output: {output} is out of range, the model returns {len(result)} outputs")
        return _tensor(result[position])
    if output not in (None, 0):
        raise InputError(f"output: {output!r} is asked for, but the model returns a single tensor")
    return _tensor(getattr(result, "logits", result))


def _pick_named(result: Any, output: Output, modules: Sequence[str]) -> Tensor:
    named = dict(result) if isinstance(result, Mapping) else {}
    if isinstance(output, int):
        named, output = {str(i): value for i, value in enumerate(named.values())}, str(output)
    key = output if output is not None else next((k for k in MAIN if k in named), next(iter(named), None))
    if key not in named:
        choices = [*named, *modules]
        outputs = ", ".join(map(str, named)) or "a single output"
        raise InputError(
            f"output: {key!r} is neither an output ({outputs}) nor a module{near_names(str(key), choices)}"
        )
    return _tensor(named[key])


def _tensor(value: Any) -> Tensor:
    if isinstance(value, (list, tuple)) and value:
        return _tensor(value[0])
    if not isinstance(value, Tensor):
        raise InputError(
            f"output: expected a tensor, the model returns {type(value).__name__}; choose one with output="
        )
    return value


def _example(model: nn.Module, image_size: tuple[int, int], in_channels: int) -> Tensor:
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    # Never read: torch.empty leaves the pages of a large image untouched.
    return torch.empty((1, in_channels, *image_size), dtype=like.dtype, device=like.device)


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _forms(model: nn.Module) -> list[tuple[nn.Module, Callable[..., Any]]]:
    """Every module that has a form, with it; built before any is installed, from real parameter values."""
    builders = [(module, getattr(module, "receptive_field_form", None)) for module in model.modules()]
    return [(module, build()) for module, build in builders if build]


@contextmanager
def _forward_replaced(forwards: Sequence[tuple[nn.Module, Callable[..., Any]]]) -> Iterator[None]:
    own = [(module, module.__dict__.get("forward")) for module, _ in forwards]
    try:
        for module, forward in forwards:
            module.__dict__["forward"] = forward
        yield
    finally:
        for module, original in own:
            if original is None:
                module.__dict__.pop("forward", None)
            else:
                module.__dict__["forward"] = original


@contextmanager
def _own_checks(model: nn.Module) -> Iterator[None]:
    """Let the models of segmentation-models-pytorch check the image's size, which they do not while they are traced."""
    checking = [module for module in model.modules() if callable(getattr(module, "check_input_shape", None))]

    def check(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        module.check_input_shape(arguments[0])  # type: ignore[operator]

    handles = [module.register_forward_pre_hook(check) for module in checking]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _quiet() -> Iterator[None]:
    names = ("torch.export", "torch.fx", "torch._export", "torch.fx.experimental", "torch._subclasses.fake_tensor")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def explained(model: nn.Module, shape: Sequence[int], error: Exception) -> InputError:
    """What the model raised on an input of this shape, in one line: where, why, and what to try instead."""
    name, kind, image = type(model).__name__, type(error).__name__, f"an input of shape {tuple(shape)}"
    reason = next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), kind)[:300]
    where = _place(model, error)
    untraceable = type(error).__module__.startswith("torch._dynamo") or "tensor subclass" in reason
    if "DataDependent" in kind or "data-dependent" in reason or untraceable:
        repair = "choose an earlier layer with output="
        return InputError(f"{name} cannot be traced on {image}: {where}{kind}: {reason}; {repair}")
    return RefusedImageError(f"{name} fails on {image}: {where}{reason}; {OTHER_IMAGE}")


def _place(model: nn.Module, error: Exception) -> str:
    """The layer an error came from and the line of its code, torch's own lines left out."""
    names = {id(module): name for name, module in model.named_modules()}
    layer = line = ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        layer = names.get(id(frame.f_locals.get("self")), layer)
        file = frame.f_code.co_filename
        if file != __file__ and not file.startswith(_TORCH):
            line = linecache.getline(file, number).strip()
    if line.startswith("raise "):
        line = ""
    return (f"layer {layer!r}, " if layer else "") + (f"`{line}`: " if line else "")
