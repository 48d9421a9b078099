"""Why pixel-adaptive convolution loses: one training evaluated several ways, beside trainings without each suspect.

Three suspects: the noise of samples at temperature 1, statistics of batch normalisation that were taken of sampled
maps, and a hard choice after a soft training. A trained network is evaluated with the likeliest option, with the mean
over options, and with samples as in training; with the statistics that training left, and with statistics taken anew of
what is evaluated. The trainings: the paper's setting, each suspect taken out by a setting, and fixed dilations.

Run: ``python benchmarks/pixel_adaptive_diagnosis.py > benchmarks/results/pixel_adaptive_diagnosis.md`` (digits of three
sizes in one picture; ``--steps`` and ``--seeds`` for more).
"""

import argparse
import itertools
import statistics
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.data import Splits, load
from autorf.data.spec import DigitsData
from autorf.methods import Dilation, PixelAdaptive
from autorf.methods.base import Method
from autorf.methods.held_statistics import batch_norms
from autorf.methods.pixel_adaptive import PixelAdaptiveConv2d
from autorf.metrics import confusion, scores
from autorf.networks import build
from autorf.networks.spec import ModelSpec
from autorf.surgery import adapt, advance, parameter_groups
from autorf.training.batches import loader

RATES, BATCH, LR = (1, 2, 4), 16, 6e-3
TRAININGS: dict[str, Method] = {
    **{f"dilation {rate}": Dilation(rate=rate) for rate in (2, 3, 4)},
    "the paper's": PixelAdaptive(rates=RATES, sampling="soft", evaluation="hard"),
    "colder, 1 to 0.1": PixelAdaptive(rates=RATES, sampling="soft", evaluation="hard", temperature=(1.0, 0.1)),
    "no noise": PixelAdaptive(rates=RATES, sampling="none", evaluation="hard"),
    "straight-through": PixelAdaptive(rates=RATES, sampling="straight_through", evaluation="hard"),
    "samples for half": PixelAdaptive(rates=RATES, sampling="soft", evaluation="hard", sampled=0.5),
    "own dilation first": PixelAdaptive(rates=RATES, sampling="soft", evaluation="hard", start="own"),
    "no noise, for half": PixelAdaptive(rates=RATES, sampling="none", evaluation="hard", sampled=0.5),
}
ENOUGH = 8
"""Batches that tell the statistics of a layer's maps."""

WAYS = ("hard", "expected", "sampled")


def batches(splits: Splits, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Training batches without end, in another order each epoch."""
    batch_loader = loader(splits.train, BATCH, seed, shuffle=True)
    for epoch in itertools.count():
        batch_loader.sampler.set_epoch(epoch)
        yield from batch_loader


def trained(method: Method, splits: Splits, steps: int, seed: int) -> nn.Module:
    """The network after ``steps`` of cross-entropy, balanced by class."""
    torch.manual_seed(seed)
    spec = ModelSpec(name="largefov:test_byobnet", stage=1, channels=(64, 64), head_norm=True)
    model = adapt(build(spec, splits.class_names), method)
    optimizer = torch.optim.AdamW(parameter_groups(model, lr=LR))
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, [group["lr"] for group in optimizer.param_groups], steps)
    weights = torch.ones(len(splits.class_names))
    # Most pixels are background, which alone would be learned otherwise.
    weights[0] = 0.1
    model.train()
    for step, (image, mask) in enumerate(itertools.islice(batches(splits, seed), steps)):
        advance(model, step, steps)
        loss = functional.cross_entropy(model(image), mask, weight=weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
    advance(model, steps, steps)
    return model.eval()


def take(model: nn.Module, way: str) -> None:
    """Have pixel-adaptive layers in evaluation mode choose in a way."""
    for layer in model.modules():
        if isinstance(layer, PixelAdaptiveConv2d):
            evaluation = "hard" if way == "sampled" else way
            layer.method = layer.method.model_copy(update={"evaluation": evaluation})
            if way == "sampled":
                layer.probabilities = layer._sample  # type: ignore[method-assign]
            else:
                vars(layer).pop("probabilities", None)


def take_statistics_anew(model: nn.Module, splits: Splits) -> None:
    """Set the statistics of batch normalisation to those of what the model evaluates, on the training pictures."""
    norms = list(batch_norms(model).values())
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum, norm.training = None, True
    with torch.no_grad():
        for image, _ in itertools.islice(loader(splits.train, BATCH, 0, shuffle=False), ENOUGH):
            model(image)
    model.eval()


def miou(model: nn.Module, splits: Splits) -> float:
    """On the validation pictures."""
    n_classes = len(splits.class_names)
    counts = torch.zeros(n_classes, n_classes, dtype=torch.long)
    torch.manual_seed(0)
    with torch.no_grad():
        for image, mask in loader(splits.val, BATCH, 0, shuffle=False):
            counts += confusion(model(image).argmax(1), mask, n_classes, splits.ignore_index)
    return scores(counts, splits.class_names).miou


def evaluated(model: nn.Module, splits: Splits) -> list[float]:
    """mIoU in every way, with the statistics that training left, then with statistics of what is evaluated."""
    found = []
    adaptive = any(isinstance(layer, PixelAdaptiveConv2d) for layer in model.modules())
    for anew, way in itertools.product((False, True), WAYS if adaptive else WAYS[:1]):
        take(model, way)
        if anew:
            take_statistics_anew(model, splits)
        found.append(miou(model, splits))
    return found if adaptive else [found[0], float("nan"), float("nan"), found[1], float("nan"), float("nan")]


def line(title: str, runs: Sequence[Sequence[float]]) -> str:
    """The means over seeds of every way."""
    means = [statistics.mean(values) for values in zip(*runs, strict=True)]
    return f"| {title} | " + " | ".join("" if mean != mean else f"{mean:.3f}" for mean in means) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = DigitsData(image_size=96, object_size=(16, 32, 56), n_train=300, n_val=100, n_test=0)
    splits = load(data)
    print("# Why pixel-adaptive convolution loses\n")
    print(f"Digits of 16, 32 and 56 px in one picture, options 1, 2, 4, {given.steps} steps of {BATCH} pictures, mean")
    print(f"validation mIoU of {given.seeds} seeds. *Anew*: with statistics of batch normalisation taken of what is")
    print("evaluated, on training pictures.\n")
    columns = [*WAYS, *(f"{way}, anew" for way in WAYS)]
    print(f"| training | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    for title, method in TRAININGS.items():
        runs = [evaluated(trained(method, splits, given.steps, seed), splits) for seed in range(given.seeds)]
        print(line(title, runs), flush=True)


if __name__ == "__main__":
    main()
