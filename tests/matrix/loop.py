"""A tiny network, the methods that the matrix tries on it, and the plain loop that every behaviour is compared with."""

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

import autorf
from autorf.methods import Dilation, Inflation, LearnedDilation, Method, PixelAdaptive, ScaleAdaptive

STEPS = 12
SEARCH = 0.5
MIDWAY, LATE = 3, 9
"""Steps at which a search is under way, and is over."""

TARGETS = ("1.0", "2.0")
REGION = {"start": "1.0", "end": "2.0"}
RATES = (1, 2, 3)

METHODS: dict[str, Method] = {
    "dilation": Dilation(targets=TARGETS, rate=2),
    "learned dilation": LearnedDilation(targets=TARGETS, rates=RATES, search=SEARCH, shared=False),
    "learned dilation, shared": LearnedDilation(targets=TARGETS, rates=RATES, search=SEARCH, shared=True),
    "inflation": Inflation(**REGION, learning_rate_multiplier=10),
    "inflation with search": Inflation(**REGION, search=SEARCH, low=0.5, high=2.0),
    "scale-adaptive": ScaleAdaptive(targets=TARGETS),
    "pixel-adaptive": PixelAdaptive(targets=TARGETS),
}
SEARCHING = ("learned dilation", "learned dilation, shared", "inflation with search")
FOLDS = ("dilation", "learned dilation", "learned dilation, shared", "inflation", "inflation with search")
"""Those that freeze turns into plain layers."""

IMAGE = torch.rand(4, 3, 16, 20, generator=torch.Generator().manual_seed(99))


class Network(nn.Sequential):
    """Two blocks of one convolution between a stem and a head."""

    def forward(self, images: Tensor) -> Tensor:
        """Part by part: of a loop over them a compiler would take all or nothing."""
        maps = self[0](images)
        maps = self[1](maps)
        maps = self[2](maps)
        scores: Tensor = self[3](maps)
        return scores


def network() -> Network:
    """The network, always with the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        blocks = [nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU()) for _ in range(2)]
        return Network(nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()), *blocks, nn.Conv2d(6, 2, 1))


def adapted(name: str) -> Network:
    """The network adapted by the method of that name; always the same weights."""
    model = network()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        autorf.adapt(model, METHODS[name])
    return model


def batch(step: int) -> tuple[Tensor, Tensor]:
    """Images and labels of a step."""
    images = torch.rand(4, 3, 16, 20, generator=torch.Generator().manual_seed(step))
    return images, (nn.functional.avg_pool2d(images.mean(1), 3, 1, 1) > 0.5).long()


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(autorf.parameter_groups(model, lr=1e-2))


@dataclass
class Loop:
    """A training of ``model`` by a plain loop, or by one that differs from it in what is given.

    Attributes:
        model: whose methods are advanced.
        optimizer: None for one of ``parameter_groups``.
        forward: what is called with the images; None for the model.
        total: of steps.
        around: in which each forward pass runs.
        before_step: called before the optimizer's step.
        after_step: called after it.
        seed: of what is drawn, beside the step; processes differ in it.
        share: ``(index, n)``: train on one of so many parts of every batch.
        parts: into how many parts a batch is split, whose gradients add up.
        convert: of the images.
        trace: the loss and the learned values of every step so far.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer | None = None
    forward: Callable[[Tensor], Tensor] | None = None
    total: int = STEPS
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
    before_step: Callable[[], object] = lambda: None
    after_step: Callable[[], object] = lambda: None
    seed: int = 1000
    share: tuple[int, int] = (0, 1)
    parts: int = 1
    convert: Callable[[Tensor], Tensor] = lambda images: images
    trace: list[tuple[float, dict[str, float]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimizer = self.optimizer or adamw(self.model)

    def run(self, steps: Sequence[int] = range(STEPS)) -> "Loop":
        """Train these steps; at the end of the last the methods hear of it."""
        self.model.train()
        for step in steps:
            self.step(step)
        if steps and steps[-1] == self.total - 1:
            autorf.advance(self.model, self.total, self.total)
        return self

    def step(self, step: int) -> None:
        assert self.optimizer is not None
        # The same random numbers in a step whatever else was drawn before: copies and resumed trainings draw them too.
        torch.manual_seed(self.seed + step)
        autorf.advance(self.model, step, self.total)
        index, n = self.share
        images, labels = (values.chunk(n)[index] for values in batch(step))
        total = 0.0
        for part, target in zip(images.chunk(self.parts), labels.chunk(self.parts), strict=True):
            with self.around():
                scores = (self.forward or self.model)(self.convert(part))
                loss = nn.functional.cross_entropy(scores.float(), target) / self.parts
            loss.backward()
            total += loss.item()
        self.before_step()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.trace.append((total, autorf.learned_values(self.model)))
        self.after_step()


@cache
def plain(name: str) -> Loop:
    """The whole training by the plain loop; not to be changed."""
    return Loop(adapted(name)).run()


def trained(name: str, steps: int = STEPS) -> Loop:
    """A training of its own that has come so far."""
    return Loop(adapted(name)).run(range(steps))


def output(model: nn.Module, images: Tensor = IMAGE) -> Tensor:
    """What a copy of ``model`` gives in evaluation mode, which leaves the statistics of maps alone."""
    with torch.no_grad():
        scores: Tensor = copy.deepcopy(model).eval()(images)
    return scores
