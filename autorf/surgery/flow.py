"""Which values of a running model are computed from which."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from autorf.surgery.wrappers import named_modules


@dataclass(frozen=True)
class Step:
    """One operator call: the steps it reads, the module it runs in, and the shape of what it gives."""

    reads: tuple[int, ...]
    module: str
    shape: tuple[int, ...]

    @property
    def is_map(self) -> bool:
        """Whether the value has a spatial extent; vectors ``(N, C)`` and ``(N, C, 1, 1)`` have none."""
        return len(self.shape) > 2 and any(length != 1 for length in self.shape[2:])


class Flow(TorchDispatchMode):
    """Records every operator call on values that depend on the input, in order; parameters are left out.

    Values are followed by tensor: one that is changed through a view of it keeps its earlier step.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._step_of = WeakIdKeyDictionary()
        self._inside: list[str] = [""]
        self._names = {id(module): name for name, module in named_modules(model)}

    def begin(self, input: Tensor) -> None:
        """Follow what is computed from ``input``."""
        self._record(input, ())

    def step_of(self, value: Tensor) -> int:
        """The step that ``value`` comes from."""
        index: int = self._step_of[value]
        return index

    def steps_of(self, output: Any) -> set[int]:
        """The steps that the tensors in ``output`` come from."""
        return {self._step_of[leaf] for leaf in tree_leaves(output) if self._follows(leaf)}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operator and note what it reads."""
        result = func(*args, **(kwargs or {}))
        reads = tuple(sorted(self.steps_of((args, kwargs))))
        if reads:
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor):
                    self._record(leaf, reads)
        return result

    @contextmanager
    def named_modules(self, model: nn.Module) -> Iterator[None]:
        """Note for each step the innermost module that runs."""
        handles = []
        for module in model.modules():
            handles.append(module.register_forward_pre_hook(self._enter, prepend=True))
            handles.append(module.register_forward_hook(self._leave, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def above(self, start: set[int]) -> set[int]:
        """``start`` and every step it is computed from."""
        steps, open_steps = set(start), list(start)
        while open_steps:
            new = set(self.steps[open_steps.pop()].reads) - steps
            steps |= new
            open_steps.extend(new)
        return steps

    def below(self, start: int) -> set[int]:
        """``start`` and every step computed from it."""
        steps = {start}
        for index in range(start + 1, len(self.steps)):
            if not steps.isdisjoint(self.steps[index].reads):
                steps.add(index)
        return steps

    def _record(self, value: Tensor, reads: tuple[int, ...]) -> None:
        self._step_of[value] = len(self.steps)
        self.steps.append(Step(reads, self._inside[-1], tuple(value.shape)))

    def _follows(self, leaf: Any) -> bool:
        return isinstance(leaf, Tensor) and leaf in self._step_of

    def _enter(self, module: nn.Module, arguments: Any) -> None:
        self._inside.append(self._names.get(id(module), ""))

    def _leave(self, module: nn.Module, arguments: Any, output: Any) -> None:
        self._inside.pop()
