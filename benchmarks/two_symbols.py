"""How far can a network learn to look? The two-symbols test, against the theoretical and the effective field.

A picture of noise shows a cross somewhere, and a bright or dark square at a distance to its left or right: the cross
is of class 1 or 2 by the square's sign, and only the cross's middle is scored. Whoever does not see the square guesses
(.5). A distance is learned where new pictures are answered at least .9 right. Distances are shares of the half
theoretical field; the square's middle lies there. Each network is trained anew for each distance, the nearest first,
until one is not learned from either of two seeds.

Run: ``python benchmarks/two_symbols.py --root DIR`` (goes on where it stopped), then with ``--write``.
"""

import argparse
import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn
from unet_of_depth import build as unet

import autorf
from autorf.fields import effective_receptive_field, receptive_field
from autorf.methods import Dilation
from autorf.networks import ModelSpec

RESULTS = Path(__file__).parent / "results" / "two_symbols.md"
SHARES = (0.4, 0.6, 0.7, 0.8, 0.9, 1.0)
STEPS, BATCH, SEEDS, RIGHT = 250, 16, (0, 1), 0.9
SYMBOL = 3
"""Side of cross and square in pixels."""


def stack(*dilations: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels, dilation in zip([3] + [16] * len(dilations), dilations, strict=False):
        layers += [nn.Conv2d(channels, 16, 3, padding=dilation, dilation=dilation), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(16, 3, 1))


def largefov(name: str, rate: int) -> nn.Module:
    spec = ModelSpec(name=f"largefov:{name}", stage=1, channels=(32, 32), head_norm=True)
    return autorf.adapt(autorf.build(spec, 3), Dilation(rate=rate))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "6 convolutions": lambda: stack(*[1] * 6),
    "12 convolutions": lambda: stack(*[1] * 12),
    "dilations 1 2 4 8": lambda: stack(1, 2, 4, 8),
    "dilations 1 2 5 1 2 5": lambda: stack(1, 2, 5, 1, 2, 5),
    "U-Net, depth 1": lambda: unet(3, depth=1, width=8),
    "U-Net, depth 2": lambda: unet(3, depth=2, width=8),
    "U-Net, depth 3": lambda: unet(3, depth=3, width=8),
    "largefov:test_byobnet, rate 1": lambda: largefov("test_byobnet", 1),
    "largefov:test_byobnet, rate 4": lambda: largefov("test_byobnet", 4),
}


@dataclass(frozen=True)
class Pictures:
    """Draws batches whose square lies ``distance`` pixels beside the cross."""

    side: int
    distance: int

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images ``(count, 3, side, side)`` and labels of the same size, -1 where nothing is scored."""
        images = 0.1 * torch.randn((count, 3, self.side, self.side), generator=generator)
        labels = torch.full((count, self.side, self.side), -1)
        edge = SYMBOL // 2
        cross = torch.zeros(SYMBOL, SYMBOL)
        cross[edge, :] = cross[:, edge] = 1
        for image, label in zip(images, labels, strict=True):
            sign, left = torch.randint(2, (2,), generator=generator).tolist()
            low, high = edge + (self.distance if left else 0), self.side - edge - (0 if left else self.distance)
            row = int(torch.randint(edge, self.side - edge, (), generator=generator))
            column = int(torch.randint(low, high, (), generator=generator))
            square = column + (-self.distance if left else self.distance)
            rows = slice(row - edge, row + edge + 1)
            image[0, rows, column - edge : column + edge + 1] += 2 * cross
            image[1, rows, square - edge : square + edge + 1] += 4 * sign - 2
            label[row, column] = 1 + sign
        return images, labels


def share_right(build: Callable[[], nn.Module], pictures: Pictures, seed: int) -> float:
    """Of new pictures, after a training."""
    torch.manual_seed(seed)
    model = build().train()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, STEPS)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(STEPS):
        images, labels = pictures.draw(BATCH, generator)
        loss = nn.functional.cross_entropy(scores(model, images), labels, ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    images, labels = pictures.draw(256, generator)
    with torch.no_grad():
        guesses = torch.cat([scores(model.eval(), part) for part in images.split(BATCH)])[:, 1:].argmax(1) + 1
    scored = labels > 0
    return float((guesses[scored] == labels[scored]).float().mean())


def scores(model: nn.Module, images: Tensor) -> Tensor:
    answer: Tensor = model(images)
    return nn.functional.interpolate(answer, images.shape[-2:], mode="bilinear", align_corners=False)


def judge(name: str) -> Iterator[dict[str, Any]]:
    """What a network sees by theory and by its gradient before training, then each distance."""
    torch.manual_seed(0)
    half = min(receptive_field(NETWORKS[name](), 256).size) // 2
    side = max(48, 8 * -(-(2 * half + 2 * SYMBOL + 2) // 8))
    noise = torch.randn((4, 3, side, side), generator=torch.Generator().manual_seed(0))
    sides = effective_receptive_field(NETWORKS[name]().eval(), noise).sides
    yield {"network": name, "half": half, "effective": {str(share): width // 2 for share, width in sides.items()}}
    for share in SHARES:
        pictures = Pictures(side, max(SYMBOL, round(share * half)))
        right: list[float] = []
        for seed in SEEDS:
            if max(right, default=0.0) < RIGHT:
                right.append(share_right(NETWORKS[name], pictures, seed))
        yield {"network": name, "share": share, "distance": pictures.distance, "right": right}
        if max(right) < RIGHT:
            return


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def run(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    path = root / "two_symbols.jsonl"
    judged = {line["network"] for line in lines_of(path)}
    for name in NETWORKS:
        if name not in judged:
            lines = [json.dumps(line) + "\n" for line in judge(name)]
            with path.open("a", encoding="utf-8") as file:
                file.writelines(lines)


def page(root: Path) -> str:
    every = lines_of(root / "two_symbols.jsonl")
    text = [TEXT, f"{platform.machine()}, torch {torch.__version__}; {STEPS} steps of {BATCH} pictures.\n"]
    titles = ("network", "half the field", "half the effective: 50 %", "99 %", "learned up to", "over half the field")
    text += [f"| {' | '.join(titles)} | over half the 99 % |", f"|{'---|' * 7}"]
    of_field, of_effective = [], []
    for head in (line for line in every if "half" in line):
        answers = [line for line in every if line["network"] == head["network"] and "share" in line]
        reach = max((line["distance"] for line in answers if max(line["right"]) >= RIGHT), default=0)
        half, effective = head["half"], head["effective"]
        of_field.append(reach / half)
        of_effective.append(reach / effective["0.99"])
        cells = [head["network"], half, effective["0.5"], effective["0.99"], reach]
        text.append(f"| {' | '.join(map(str, cells))} | {of_field[-1]:.2f} | {of_effective[-1]:.2f} |")
    text.append(
        f"\nOver half the theoretical field: {spread(of_field)}; over half the effective one: {spread(of_effective)}.\n"
    )
    text += ["| network | distance | share of the half field | right, each seed |", "|---|---|---|---|"]
    for line in every:
        if "share" in line:
            right = ", ".join(f"{value:.2f}" for value in line["right"])
            text.append(f"| {line['network']} | {line['distance']} | {line['share']} | {right} |")
    return "\n".join(text) + "\n"


def spread(ratios: list[float]) -> str:
    return f"mean {fmean(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"


TEXT = """\
# How far networks learn to look: two symbols

`python benchmarks/two_symbols.py` makes this page. A cross is of one class or the other by the sign of a square at a
distance beside it; a distance is learned where at least .9 of new pictures are right (.5 is guessing) for one of two
seeds. Half the field is as far as the output's own place can see; `effective` is of the untrained network on noise
(`autorf inspect --effective`). The nearest distance comes first, and what follows one that is not learned is not tried:
0 says that within these steps not even the nearest was.
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    run(given.root)
    if given.write:
        RESULTS.write_text(page(given.root), encoding="utf-8")
    else:
        print(page(given.root))
