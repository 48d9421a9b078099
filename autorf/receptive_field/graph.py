"""Capturing a network's graph of operators, without computing or allocating its activations."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from autorf.errors import InputError, near_names

Output = str | int | None


def capture(model: nn.Module, image_size: tuple[int, int], output: Output, in_channels: int) -> ExportedProgram:
    """The graph of ``model`` in evaluation mode on an input ``(1, in_channels, *image_size)``.

    Modules with a ``receptive_field_form`` run it in place of their forward. The model is left as it was.

    Raises:
        InputError: if the model refuses this input or cannot be traced.
    """
    image = _example(model, image_size, in_channels)
    with _evaluation_mode(model), _forms(model), _quiet(), torch.no_grad():
        chosen = _Chosen(model, output)
        try:
            return torch.export.export(chosen, (image,), strict=False)
        except InputError:
            raise
        except Exception as error:
            raise InputError(_explained(model, image_size, in_channels, error)) from error
        finally:
            chosen.remove_hook()


class _Chosen(nn.Module):
    """The model with one output map picked out of whatever it returns."""

    def __init__(self, model: nn.Module, output: Output) -> None:
        super().__init__()
        self.model = model
        self._output = output
        self._seen: list[Any] = []
        self._hook = None
        modules = dict(model.named_modules())
        if isinstance(output, str) and output in modules:
            self._hook = modules[output].register_forward_hook(lambda _module, _args, value: self._seen.append(value))

    def forward(self, image: Tensor) -> Tensor:
        result: Any = self.model(image)
        if self._hook is not None:
            if not self._seen:
                raise InputError(f"output: module {self._output!r} does not run")
            return _pick(self._seen[-1], None, [])
        return pick_output(self.model, result, self._output)

    def remove_hook(self) -> None:
        if self._hook is not None:
            self._hook.remove()


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
    key = output if output is not None else next((k for k in ("out", "logits") if k in named), next(iter(named), None))
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


@contextmanager
def _forms(model: nn.Module) -> Iterator[None]:
    # Every form is built before any is installed: building reads real parameter values.
    builders = [(module, getattr(module, "receptive_field_form", None)) for module in model.modules()]
    forms: list[tuple[nn.Module, Callable[..., Any]]] = [(module, build()) for module, build in builders if build]
    own = [(module, module.__dict__.get("forward")) for module, _ in forms]
    try:
        for module, form in forms:
            module.__dict__["forward"] = form
        yield
    finally:
        for module, forward in own:
            if forward is None:
                module.__dict__.pop("forward", None)
            else:
                module.__dict__["forward"] = forward


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


def _explained(model: nn.Module, image_size: Sequence[int], in_channels: int, error: Exception) -> str:
    name = type(model).__name__
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    shape = (1, in_channels, *image_size)
    kind = type(error).__name__
    if "DataDependent" in kind or "data-dependent" in reason or type(error).__module__.startswith("torch._dynamo"):
        return f"{name} cannot be traced on {shape}: {kind}: {reason[:300]}; choose an earlier layer with output="
    return f"{name} fails on an input of shape {shape}: {reason[:300]}; try another image_size or in_channels"
