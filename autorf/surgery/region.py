"""The region that a method encloses, and the proof that nothing goes around it."""

import math
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from autorf.errors import InputError, a_type, near_names
from autorf.methods.base import RegionMethod
from autorf.surgery.dry_run import hooked, run, runnable_input, shapes
from autorf.surgery.flow import Flow
from autorf.surgery.wrappers import named_modules, submodule


def regions_of(model: nn.Module, method: RegionMethod) -> list[tuple[RegionMethod, tuple[str, str]]]:
    """The first and last module of each region, the network's own where ``method`` names none.

    Where the network has several, each comes with a method that names it.

    Raises:
        InputError: when the network offers no region, or a name does not exist.
    """
    named = dict(named_modules(model))
    own = getattr(model, "receptive_field_regions", ())
    places = ((method.start, method.end),) if method.start and method.end else own
    if not places:
        raise InputError(f"{method.method}: start and end are required for {a_type(model)}: two module names")
    for field, name in ((field, name) for place in places for field, name in zip(("start", "end"), place, strict=True)):
        if name not in named:
            raise InputError(f"{method.method}: {field} {name!r} is no module of the model{near_names(name, named)}")
    if len(places) == 1:
        return [(method, places[0])]
    return [(method.model_copy(update={"start": place[0], "end": place[1]}), place) for place in places]


def check_region(
    model: nn.Module, method: RegionMethod, names: tuple[str, str], example_input: Tensor | None = None
) -> float:
    """Check on two dry runs that a map can be resized from before the region until behind it.

    The map must enter through the first argument of the first module alone and leave as the result of the last alone,
    at the size it came in with. Global vectors, such as those of squeeze-and-excitation, may enter anywhere.

    Args:
        model: not changed.
        method: that will enclose the region.
        names: of the region's first and last module.
        example_input: ``(N, C, H, W)``; a random image where None.

    Returns:
        How many numbers the region computes for each position of its map and each image.

    Raises:
        InputError: naming the second entry or exit, a module that takes or gives no map or runs more than once, a
            region that changes the map's size, or why the model did not run.
    """
    image = runnable_input(model, example_input)
    start, end = names
    crossing = _Crossing(Flow(model), method.method, start, end)
    first, last = submodule(model, start), submodule(model, end)
    with crossing.flow.named_modules(model), hooked(first, crossing.enter, last, crossing.leave), crossing.flow:
        crossing.flow.begin(image)
        output = run(model, image)
    crossing.check(output)
    trial = _Trial()
    with hooked(first, trial.enter, last, trial.leave):
        try:
            inflated = run(model, image)
        except InputError as error:
            raise InputError(
                f"{method.method}: the region {start!r} to {end!r} does not take a map of another size: "
                f"{error.__cause__}"
            ) from error
    if shapes(inflated) != shapes(output):
        raise InputError(
            f"{method.method}: with its map inflated, the region {start!r} to {end!r} changes the model's output from "
            f"{shapes(output)} to {shapes(inflated)}; a map of another size goes around {end!r}"
        )
    return crossing.values_per_position()


class _Crossing:
    """Watches what crosses the region's ends."""

    def __init__(self, flow: Flow, method: str, start: str, end: str) -> None:
        self.flow, self.method, self.start, self.end = flow, method, start, end
        self.entries: list[int] = []
        self.exits: list[int] = []
        self.size: tuple[int, ...] = ()

    def enter(self, module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        value = arguments[0] if arguments else None
        if not _is_map(value):
            raise InputError(
                f"{self.method}: start {self.start!r} takes {_words(value)} as its first argument, not a map"
            )
        assert isinstance(value, Tensor)
        inside = value.clone()
        self.size = tuple(value.shape[2:])
        self.entries.append(self.flow.step_of(inside))
        return (inside, *arguments[1:])

    def leave(self, module: nn.Module, arguments: Any, output: Any) -> Any:
        if not _is_map(output):
            raise InputError(f"{self.method}: end {self.end!r} returns {_words(output)}, not a map (N, C, H, W)")
        if self.entries and tuple(output.shape[2:]) != self.size:
            raise InputError(
                f"{self.method}: the region {self.start!r} to {self.end!r} changes the map's size from {self.size} to "
                f"{tuple(output.shape[2:])}; choose one of stride 1"
            )
        outside = output.clone()
        self.exits.append(self.flow.step_of(outside))
        return outside

    def check(self, output: Any) -> None:
        """Raise unless the map passed once, and only through the ends."""
        for field, name, times in (("start", self.start, self.entries), ("end", self.end, self.exits)):
            if len(times) != 1:
                raise InputError(f"{self.method}: {field} {name!r} runs {len(times)} times in one forward, not once")
        entry, exit = self.entries[0], self.exits[0]
        region = self.flow.below(entry) & self.flow.above({exit})
        if not region:
            raise InputError(f"{self.method}: the map of end {self.end!r} is not computed from start {self.start!r}")
        self._check_entries(region - {entry}, region)
        # An output of a kind unknown to torch's pytrees shows no tensors: then every step counts as used.
        used = self.flow.steps_of(output) or set(range(len(self.flow.steps)))
        self._check_exits(region - {exit}, self.flow.above(used) - region)

    def values_per_position(self) -> float:
        """Numbers that the region computes, its own copy of the map included, by position of the map and image."""
        entry = self.entries[0]
        region = self.flow.below(entry) & self.flow.above({self.exits[0]})
        first = self.flow.steps[entry].shape
        values = sum(math.prod(self.flow.steps[index].shape) for index in region)
        return values / (first[0] * first[2] * first[3])

    def _check_entries(self, inner: set[int], region: set[int]) -> None:
        steps = self.flow.steps
        for index in sorted(inner):
            for source in steps[index].reads:
                if source not in region and steps[source].is_map:
                    raise InputError(
                        f"{self.method}: the region {self.start!r} to {self.end!r} has a second entry: "
                        f"{steps[index].module!r} also reads a map of {steps[source].module!r} from outside"
                    )

    def _check_exits(self, inner: set[int], outside: set[int]) -> None:
        steps = self.flow.steps
        for index in sorted(outside):
            for source in steps[index].reads:
                if source in inner and steps[source].is_map:
                    raise InputError(
                        f"{self.method}: the region {self.start!r} to {self.end!r} has a second exit: the map of "
                        f"{steps[source].module!r} also goes to {steps[index].module!r}, outside the region"
                    )


class _Trial:
    """Doubles the sides of the region's map."""

    def __init__(self) -> None:
        self.size: tuple[int, ...] = ()

    def enter(self, module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        height, width = self.size = tuple(arguments[0].shape[2:])
        return (functional.interpolate(arguments[0], size=(2 * height, 2 * width)), *arguments[1:])

    def leave(self, module: nn.Module, arguments: Any, output: Tensor) -> Tensor:
        return functional.interpolate(output, size=self.size)


def _is_map(value: object) -> bool:
    return isinstance(value, Tensor) and value.dim() == 4 and value.is_floating_point()


def _words(value: object) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else a_type(value)
