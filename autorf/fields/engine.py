"""The engine: walks a captured graph and moves hulls of input pixels through every operator."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from autorf.errors import InputError
from autorf.fields import joining, layout, markers, mixing, windows
from autorf.fields.graph import Captured
from autorf.fields.hull import Field, input_field
from autorf.fields.least import least_before, with_least
from autorf.fields.liveness import changes_in_place, live_nodes, storage_roots
from autorf.fields.measure import even_step, is_map, steps_along
from autorf.fields.mixing import pointwise
from autorf.fields.obstacles import is_uniform, marked
from autorf.fields.registry import GEOMETRIC, RULES, Call, NoRule, pair

_TABLES = (joining, layout, markers, mixing, windows)
"""Imported for the rules they register."""


@dataclass(frozen=True)
class Step:
    """One operator that makes a row of the layer table.

    Attributes:
        layer: the innermost module it runs in.
        operator: its name.
        field: of its output.
        window: sides of a pooling's kernel; None of other operators.
        sides: of the map that it reads, along as many of its last dimensions.
        sized: whether it resizes to a size that it is given, not by a factor.
        before: the field of its input along the path that widens it least; see :mod:`autorf.fields.least`.
    """

    layer: str
    operator: str
    field: Field
    window: tuple[int, ...] | None = None
    sides: tuple[int, ...] = ()
    sized: bool = False
    before: tuple[float, float] = (math.inf, math.inf)


def _step(layer: str, call: Call, field: Field) -> Step:
    name = call.operator.split(".")[1]
    kernel = call.arguments.get("kernel_size") if "pool" in name else None
    n = 0 if kernel is None else int(name.split("pool")[1][0])
    scaled = call.arguments.get("scale_factors") or call.arguments.get("scales_h")
    sized = "adaptive" in name or ("upsample" in name and not scaled)
    sides = call.fields[0].shape[-n:] if n else ()
    return Step(layer, name, field, pair(kernel, n) if kernel is not None else None, sides, sized, least_before(call))


@dataclass(frozen=True)
class Trace:
    """What a walk found: the output's field and the steps that led there, in the graph's order."""

    output: Field
    last_map: tuple[str, Field] | None
    """The last feature map with a local path, and its layer: what a classifier pools over."""
    steps: tuple[Step, ...]
    coarsest: tuple[float, float]
    """The largest step of any tensor on the way, in input pixels a position."""
    period: tuple[float, float]
    """The least common multiple of all steps: after so many input pixels the field's phases repeat."""
    flattens: bool
    """Whether rows and columns were flattened into one dimension, which makes hulls as large as maps."""
    outputs: Mapping[str, Field] = field(default_factory=dict)
    """By key or position, where the graph returns several; ``output`` is the first of them."""


def trace(captured: Captured) -> Trace:
    """The fields of a captured network's output, or outputs, and of its geometric operators.

    Raises:
        InputError: for an operator without a rule, named with the layer it runs in.
    """
    graph, image, keys = captured
    fields = [
        input_field(_shape(node)) if node.name == image else Field(_shape(node))
        for node in graph.nodes
        if node.op == "placeholder"
    ]
    notes = _WalkNotes(next(field.shape for field in fields if field.depends_on_input))
    returned = _Walk(graph, notes).run(fields)
    outputs = dict(zip(keys, returned, strict=True)) if keys else {}
    coarsest = notes.coarsest[0], notes.coarsest[1]
    period = notes.period(0), notes.period(1)
    return Trace(returned[0], notes.last_map, tuple(notes.steps), coarsest, period, notes.flattens, outputs)


class _WalkNotes:
    """What a walk, with those of its sub-graphs, notes on its way."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.image = shape[-2], shape[-1]
        self.steps: list[Step] = []
        self.last_map: tuple[str, Field] | None = None
        self.coarsest = [1.0, 1.0]
        self.flattens = False
        self._even_steps: tuple[set[int], set[int]] = (set(), set())

    def note(self, layer: str, call: Call, field: Field) -> None:
        if call.operator in GEOMETRIC:
            self.steps.append(_step(layer, call, field))
        self.flattens |= field.flattens
        plain = is_map(field)
        if plain:
            self.last_map = layer, field
        # Most operators pass their input's hulls on, which are noted already.
        noted = {id(hull) for given in call.fields for hulls in given.axes for hull in hulls}
        for axis, axis_hulls in enumerate(field.axes):
            hulls = [hull for hull in axis_hulls if id(hull) not in noted]
            steps = [step for hull in hulls for step in steps_along(hull)]
            self.coarsest[axis] = max([self.coarsest[axis], *steps])
            if plain:
                self._even_steps[axis].update(step for hull in hulls if (step := even_step(hull)))

    def period(self, axis: int) -> float:
        """What every map's step divides: with branches of stride 2 and of stride 3 it is 6."""
        return max(self.coarsest[axis], math.lcm(*self._even_steps[axis]))


class _Walk:
    """The state of walking one graph: the field of every live node."""

    def __init__(self, graph: fx.Graph, notes: _WalkNotes) -> None:
        self._graph = graph
        self._notes = notes
        self._fields: dict[fx.Node, Any] = {}
        self._roots = storage_roots(graph)
        live = live_nodes(graph, self._roots)
        # A field is dropped after its last live reader: those of all nodes together can be larger than memory.
        self._uses = {node: len(live & set(node.users)) for node in graph.nodes}
        self._live = live

    def run(self, inputs: Sequence[Any]) -> Any:
        """Walk the graph from its placeholders' fields to the field (or fields) it returns."""
        remaining = iter(inputs)
        for node in self._graph.nodes:
            given = next(remaining) if node.op == "placeholder" else None
            if node not in self._live:
                continue
            if node.op == "output":
                return self._resolve(node.args[0])
            self._fields[node] = given if node.op == "placeholder" else self._value(node)
            for used in node.all_input_nodes:
                self._uses[used] -= 1
                if not self._uses[used]:
                    self._fields.pop(used, None)
        raise AssertionError("a graph ends with its output")

    def _value(self, node: fx.Node) -> Any:
        if node.op == "get_attr":
            return self._attribute(node)
        if isinstance(node.target, torch._ops.OpOverload):
            return self._call(node, node.target)
        if getattr(node.target, "__name__", "") == "getitem":
            return self._fields[node.all_input_nodes[0]][node.args[1]]
        return self._higher_order(node)

    def _attribute(self, node: fx.Node) -> Any:
        owner = self._graph.owning_module
        value = owner.get_submodule(str(node.target)) if owner is not None and "val" not in node.meta else None
        return value if isinstance(value, fx.GraphModule) else Field(_shape(node))

    def _call(self, node: fx.Node, target: torch._ops.OpOverload) -> Any:
        call = bound(target, self._resolve(node.args), self._resolve(node.kwargs), _shapes(node))
        result = self._apply(node, target, call)
        if changes_in_place(target):
            self._write_back(node, result)
        return result

    def _apply(self, node: fx.Node, target: Any, call: Call) -> Any:
        layer = layer_name(node)
        if not call.shapes:
            return None
        if not any(field.depends_on_input for field in call.fields):
            uniform = is_uniform(call.operator, call.fields)
            fields = [Field(shape, uniform=uniform) for shape in call.shapes]
            return fields if _returns_list(node) else fields[0]
        function = RULES.get(call.operator) or (pointwise if torch.Tag.pointwise in target.tags else None)
        if function is None:
            raise InputError(
                f"operator {target} in layer {layer or 'the model itself'!r} has no receptive-field rule; "
                "choose an earlier layer with output="
            )
        try:
            result = with_least(call, marked(call, layer, function(call)), self._notes.image)
        except NoRule as error:
            raise InputError(f"operator {target} in layer {layer!r} has no rule for {error}") from error
        self._notes.note(layer, call, result[0] if isinstance(result, list) else result)
        return result if not _returns_list(node) or isinstance(result, list) else [result]

    def _higher_order(self, node: fx.Node) -> Any:
        """``torch.autocast`` and ``torch.no_grad`` blocks are sub-graphs with their inputs after them."""
        arguments = self._resolve(node.args)
        at = next((i for i, value in enumerate(arguments) if isinstance(value, fx.GraphModule)), None)
        if at is None:
            raise InputError(f"construct {node.target} in layer {layer_name(node)!r} has no receptive-field rule")
        return _Walk(arguments[at].graph, self._notes).run(arguments[at + 1 :])

    def _write_back(self, node: fx.Node, result: Any) -> None:
        """An in-place operator changes its argument, and whatever shares its memory, for all later readers."""
        changed = node.args[0]
        if not isinstance(changed, fx.Node) or not isinstance(result, Field):
            return
        if self._fields[changed].axes != result.axes and self._sharing(changed, node):
            raise InputError(
                f"operator {node.target} in layer {layer_name(node)!r} changes a view in place, and the memory it "
                "shares is read later; this has no receptive-field rule"
            )
        self._fields[changed] = result

    def _sharing(self, changed: fx.Node, node: fx.Node) -> bool:
        """Whether another live tensor shares memory with ``changed`` after ``node``."""
        later = (other for other in self._fields if other is not changed and self._uses[other])
        # This node's own reading of it is not counted down yet.
        alive = (other for other in later if self._uses[other] > (other in node.all_input_nodes))
        return any(self._roots[other] is self._roots[changed] for other in alive)

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, fx.Node):
            return self._fields[value]
        if isinstance(value, Mapping):
            return {key: self._resolve(member) for key, member in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._resolve(member) for member in value]
        return value


def bound(target: Any, args: Iterable[Any], kwargs: Mapping[str, Any], shapes: tuple[tuple[int, ...], ...]) -> Call:
    """The call with its arguments named after the operator's schema."""
    schema = target._schema
    names = [argument.name for argument in schema.arguments]
    defaults = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
    named = dict(zip(names, args, strict=False)) | dict(kwargs)
    arguments = {name: named[name] if name in named else defaults.get(name) for name in names}
    namespace, name = schema.name.split("::")
    plain = name[:-1] if schema.is_mutable and name.endswith("_") else name
    return Call(f"{namespace}.{plain}", arguments, shapes)


def layer_name(node: fx.Node) -> str:
    """The name of the innermost module a node was captured in, as in ``model.named_modules()``."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    name = str(stack[-1][0]) if stack else ""
    return name.removeprefix("model").removeprefix(".")


def _shapes(node: fx.Node) -> tuple[tuple[int, ...], ...]:
    value = node.meta.get("val")
    members = value if isinstance(value, (list, tuple)) else [value]
    return tuple(tuple(member.shape) for member in members if isinstance(member, Tensor))


def _shape(node: fx.Node) -> tuple[int, ...]:
    shapes = _shapes(node)
    return shapes[0] if shapes else ()


def _returns_list(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), (list, tuple))
