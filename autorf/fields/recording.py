"""The operators that a network's forward pass runs, written down as it runs on tensors without values.

``torch.export`` gives the same operators at five to ten times the cost: it makes a program that can be run again, of
which a receptive field needs the graph only. What a recording cannot follow (values that are read, tensors that come
from nowhere) it raises; whoever asked takes ``torch.export`` then.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._dispatch.python import enable_pre_dispatch, enable_python_dispatcher, no_python_dispatcher
from torch._ops import OpOverload
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import ProxyTorchDispatchMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

META = torch.device("meta")
_LIKE_THEIR_INPUT = {
    getattr(torch.ops.aten, name).default for name in ("batch_norm", "relu", "relu_", "silu", "silu_", "gelu")
}
"""Common operators whose shapes torch computes in Python only, at most of a recording's time."""


class UnrecordableError(Exception):
    """The forward pass does something that a recording cannot follow."""


def record(model: nn.Module, image: Tensor) -> fx.Graph:
    """The graph of ``model(image)``, whose only placeholder is the image; parameters and constants are attributes.

    A node's ``meta`` holds its value's shape in ``val`` and the modules it ran in, as ``torch.export`` writes them.
    The model is left as it was, whatever its forward pass keeps in its modules.

    Args:
        model: of plain parameters, in evaluation mode.
        image: of any device; only its shape and type are used.

    Raises:
        Exception: whatever the model raises on tensors without values.
        UnrecordableError: for a model of other parts than tensors and modules, and tensors of unknown origin.
    """
    if any(not _is_plain(module) for module in model.modules()):
        raise UnrecordableError("a compiled, scripted or sharded module")
    weights = {name: _without_values(tensor) for name, tensor in _named_tensors(model)}
    given = _without_values(image)
    recorder = _Recorder(given, weights)
    # Before autograd and before composite operators fall into parts, as torch.export records.
    dispatch = enable_python_dispatcher(), enable_pre_dispatch(), recorder
    with _as_it_was(model), _noting_modules(model, recorder.modules), torch.no_grad(), ExitStack() as stack:
        for context in dispatch:
            stack.enter_context(context)
        result = functional_call(model, weights, (given,))
    return recorder.graph_of(result)


def output_of_shapes(model: nn.Module, image: Tensor) -> Any:
    """What ``model(image)`` returns, of tensors with shapes and without values; hooks of its modules run.

    It takes a moment where the forward pass of a large network on a large image takes minutes and gigabytes. The model
    is left as it was.

    Args:
        model: of plain parameters.
        image: of any device; only its shape and type are used.

    Raises:
        Exception: whatever the model raises on tensors without values.
        UnrecordableError: for a model of other parts than tensors and modules.
    """
    if any(not _is_plain(module) for module in model.modules()):
        raise UnrecordableError("a compiled, scripted or sharded module")
    weights = {name: _without_values(tensor) for name, tensor in _named_tensors(model)}
    with _as_it_was(model), torch.no_grad():
        return functional_call(model, weights, (_without_values(image),))


class _Recorder(ProxyTorchDispatchMode):
    """Writes each operator down as a node. Torch lets only modes of its own classes in before dispatch."""

    def __init__(self, image: Tensor, weights: Mapping[str, Tensor]) -> None:
        TorchDispatchMode.__init__(self, torch._C.DispatchKey.PreDispatch)
        self.pre_dispatch = True
        self.modules: list[tuple[str, type]] = []
        self._graph = fx.Graph()
        # By memory: what is made without an input (torch.arange) leaves dispatch as another object, and so does x.data.
        # The nodes keep their tensors, so that no memory is given out twice.
        self._nodes: dict[_Memory, fx.Node] = {}
        self._weights = {id(tensor): name for name, tensor in weights.items()}
        self._keep(self._graph.placeholder("image"), image)

    # Those of the class between, for tracers of torch's own, keep a stack of such modes.
    __enter__ = TorchDispatchMode.__enter__
    __exit__ = TorchDispatchMode.__exit__

    def __torch_dispatch__(self, func: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        with no_python_dispatcher():
            # Shapes are computed in C++, several times as fast as by decompositions in Python.
            if func in _LIKE_THEIR_INPUT:
                result = args[0] if func._schema.is_mutable else torch.empty_like(args[0])
            else:
                result = func(*args, **kwargs)
        inputs, options = tree_map_only(Tensor, self._node, (args, kwargs))
        self._keep(self._graph.create_node("call_function", func, inputs, options), result)
        return result

    def graph_of(self, result: Any) -> fx.Graph:
        """What was recorded, ending with the tuple of what the model returned."""
        result = result if isinstance(result, tuple) else (result,)
        self._graph.output(tree_map_only(Tensor, self._node, result))
        return self._graph

    def _keep(self, node: fx.Node, value: Any) -> None:
        node.meta["val"] = value
        if self.modules:
            node.meta["nn_module_stack"] = {"": self.modules[-1]}
        if isinstance(value, Tensor):
            self._nodes[_memory(value)] = node
        elif isinstance(value, (list, tuple)):
            for position, member in enumerate(value):
                part = self._graph.create_node("call_function", operator.getitem, (node, position))
                self._keep(part, member)

    def _node(self, tensor: Tensor) -> fx.Node:
        if _memory(tensor) not in self._nodes:
            name = self._weights.get(id(tensor))
            if name is None and tensor.device == META:
                # A tensor with values cannot come from the image, which has none; this one may.
                raise UnrecordableError("a tensor that no operator made")
            self._keep(self._graph.create_node("get_attr", name or "constant"), tensor)
        return self._nodes[_memory(tensor)]


_Memory = tuple[int, int, tuple[int, ...], tuple[int, ...], torch.dtype]


def _memory(tensor: Tensor) -> _Memory:
    """Where a tensor's elements lie: equal of two objects that are one tensor."""
    storage = tensor.untyped_storage()._cdata
    return storage, int(tensor.storage_offset()), tuple(tensor.shape), tensor.stride(), tensor.dtype


def _is_plain(module: nn.Module) -> bool:
    compiled = module._compiled_call_impl is not None or hasattr(module, "_orig_mod")
    tensors = (*module._parameters.values(), *module._buffers.values())
    plain = all(tensor is None or type(tensor) in (Tensor, nn.Parameter, nn.Buffer) for tensor in tensors)
    return plain and not compiled and not isinstance(module, torch.jit.ScriptModule)


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _without_values(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=META)


@contextmanager
def _noting_modules(model: nn.Module, running: list[tuple[str, type]]) -> Iterator[None]:
    """Keep in ``running`` the names and classes of the modules that run, the innermost last."""
    handles = []

    def hooks(name: str) -> tuple[Callable[..., None], Callable[..., None]]:
        def enter(module: nn.Module, _args: Any) -> None:
            running.append((name, type(module)))

        def leave(*_call: Any) -> None:
            running.pop()

        return enter, leave

    for name, module in model.named_modules():
        enter, leave = hooks(name)
        handles += [
            module.register_forward_pre_hook(enter, prepend=True),
            module.register_forward_hook(leave, always_call=True),
        ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    """Take back what a forward pass keeps in its modules, such as a grid of positions, which would have no values."""
    contents: dict[int, tuple[Any, Any]] = {}
    for module in model.modules():
        _note_contents(module.__dict__, contents)
    try:
        yield
    finally:
        for container, before in contents.values():
            if isinstance(container, list):
                container[:] = before
            else:
                container.clear()
                container.update(before)


def _note_contents(container: Any, contents: dict[int, tuple[Any, Any]]) -> None:
    if isinstance(container, (dict, list, set)) and id(container) not in contents:
        contents[id(container)] = container, container.copy()
        for value in container.values() if isinstance(container, dict) else container:
            _note_contents(value, contents)
