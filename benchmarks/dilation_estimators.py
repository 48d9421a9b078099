"""Which estimator finds the dilation that separate trainings find: four compared on digits of three sizes and CamVid.

    python benchmarks/dilation_estimators.py --camvid DIR [--root runs] [--workers 2] [--write]

The manual grid (three seeds) and complete trainings of ``learned_dilation`` are studies of their own. Each rival gets
the same network, seeds, starts and search phase, and stops behind it; what it would fix is judged by the grid's mean:

* ``profile``: ``learned_dilation``; the loss's derivative along blends of neighbouring options (from the studies).
* ``mixture``: one output averaged over a Gaussian window in log(dilation), its centre moved by the gradient (Adam).
* ``differences``: the batch's loss at both neighbouring dilations moves the centre (two further forward passes).
* ``single path``: one option a step; by its losses the worse half is dropped three times.
* ``branches``: after RF-Next's description: three branches with one kernel at d - D, d, d + D, D = d / 2, weighted by
  normalised coefficients; their expectation becomes d eight times.

What is done is kept in ``ROOT/dilation_estimators.jsonl`` and not run again. ``--write`` records the tables.
"""

import argparse
import json
import math
import platform
import statistics
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from scipy.stats import kendalltau
from torch import Tensor, nn

from autorf.data import load
from autorf.driver.search import search
from autorf.files import write_atomically
from autorf.methods.dilation_search import LearnedDilationConv2d
from autorf.methods.learned_dilation import LearnedDilation
from autorf.methods.modules import LearningRule
from autorf.networks import build
from autorf.ops import windowed_dilated_conv2d
from autorf.store.store import open_store
from autorf.store.traces import stepped
from autorf.study import builtin
from autorf.study.spec import StudySpec, parse_study
from autorf.surgery import adapt
from autorf.training.batches import loader
from autorf.training.callback import ReceptiveFieldCallback
from autorf.training.module import SegmentationModule

GRID, STARTS, SEEDS = (1, 2, 3, 4, 6, 8, 12), (1.0, 4.0, 12.0), (0, 1, 2)
DATA = ("digits 20", "digits 32", "digits 48", "camvid")
ONE_START = ("single path",)
"""What does not depend on the start runs from one."""


class Rival(LearnedDilationConv2d):
    """A layer that is searched another way; ``losses`` ranks the options, lower is better."""

    def begin(self) -> None:
        """Prepare, once, before the first step."""

    def told(self, loss: float) -> None:
        """Hear the loss of the step that just ended."""

    def before(self, module: SegmentationModule, batch: tuple[Tensor, Tensor]) -> None:
        """Look at the batch before it is trained on."""

    def losses(self) -> list[float]:
        """Without anything better, options are ranked by their distance from the centre."""
        return [abs(math.log(rate) - self.mu) for rate in self.method.rates]


class Moved(Rival):
    """A centre that Adam moves, 0.03 log-units a step, within the options."""

    def begin(self) -> None:
        self.centre = nn.Parameter(torch.tensor(self.mu))

    def advance(self, progress: float) -> None:
        if not hasattr(self, "centre"):
            self.begin()
        with torch.no_grad():
            self.centre.clamp_(math.log(self.method.rates[0]), math.log(self.method.rates[-1]))
        self.mu = self.centre.item()
        done, ratio = progress / self.method.search, self.method.final_window / self.method.window
        self._set(self.method.window * ratio ** min(done, 1.0), self.rate, done)

    def learning_rules(self) -> list[LearningRule]:
        if not hasattr(self, "centre"):
            self.begin()
        return [LearningRule((self.centre,), learning_rate=0.03, scheduled=False)]


class Mixture(Moved):
    """One output that averages all options within the window."""

    def forward(self, input: Tensor) -> Tensor:
        options = torch.tensor(self.method.rates, dtype=torch.float32).log()
        share = torch.softmax(-((options - self.centre) ** 2) / (2 * self.sigma**2), 0)
        kept = [
            at for at, value in enumerate(share.tolist()) if value >= min(self.method.threshold, max(share.tolist()))
        ]
        rates = [self.method.rates[at] for at in kept]
        share = share[kept] / share[kept].sum()
        return windowed_dilated_conv2d(input, self.kernel(), self.bias, share, rates, self.groups)


class Differences(Moved):
    """Trains at the option nearest to the centre, which the losses of a step to both sides move."""

    def begin(self) -> None:
        super().begin()
        self.adam = torch.optim.Adam([self.centre], lr=0.03)

    def before(self, module: SegmentationModule, batch: tuple[Tensor, Tensor]) -> None:
        width = max(min(self.sigma, 0.7), 0.25)
        sides = []
        with torch.no_grad():
            for side in (-width, width):
                self.mu = self.centre.item() + side
                sides.append(module.training_step(batch, 0).item())
        self.mu = self.centre.item()
        self.centre.grad = torch.tensor((sides[1] - sides[0]) / (2 * width))
        self.adam.step()
        self.centre.grad = None

    def learning_rules(self) -> list[LearningRule]:
        return []

    def forward(self, input: Tensor) -> Tensor:
        return self._dilated(input, self.nearest_option())


class SinglePath(Rival):
    """Trains one surviving option a step, each as often; drops the half with the higher losses three times."""

    def begin(self) -> None:
        self.alive = list(range(len(self.method.rates)))
        self.waiting: list[int] = []
        self.heard: dict[int, list[float]] = {}
        self.known: dict[int, float] = {}
        self.drops = [0.4, 0.7, 0.9]

    def advance(self, progress: float) -> None:
        if not hasattr(self, "alive"):
            self.begin()
        if self.drops and progress / self.method.search >= self.drops[0]:
            self.drops.pop(0)
            self._drop()
        if not self.waiting:
            self.waiting = [self.alive[at] for at in torch.randperm(len(self.alive)).tolist()]
        self.now = self.waiting.pop()
        self.mu = math.log(self.method.rates[min(self.alive, key=lambda at: self.known.get(at, 0.0))])

    def _drop(self) -> None:
        # An option that is still in the race is better than any that was dropped before.
        means = {at: statistics.mean(self.heard[at][len(self.heard[at]) // 2 :]) for at in self.alive}
        self.known |= {at: loss - 10 * (3 - len(self.drops)) for at, loss in means.items()}
        self.alive = sorted(sorted(self.alive, key=means.__getitem__)[: math.ceil(len(self.alive) / 2)])
        self.waiting, self.heard = [], {}

    def told(self, loss: float) -> None:
        self.heard.setdefault(self.now, []).append(loss)

    def forward(self, input: Tensor) -> Tensor:
        return self._dilated(input, self.method.rates[self.now] if self.training else self.nearest_option())

    def losses(self) -> list[float]:
        return [self.known.get(at, 0.0) for at in range(len(self.method.rates))]


class Branches(Rival):
    """Three branches around one dilation whose expectation becomes the next dilation."""

    def begin(self) -> None:
        self.share = nn.Parameter(torch.full((3,), 0.01))
        self.turns = [(turn + 1) / 8 for turn in range(8)]

    def advance(self, progress: float) -> None:
        if not hasattr(self, "share"):
            self.begin()
        if self.turns and progress / self.method.search >= self.turns[0]:
            self.turns.pop(0)
            expected = sum(w * r for w, r in zip(self._weights().tolist(), self._rates(), strict=True))
            self.mu = math.log(min(max(expected, self.method.rates[0]), self.method.rates[-1]))
            with torch.no_grad():
                self.share.fill_(0.01)

    def _rates(self) -> list[int]:
        rate = max(1, round(math.exp(self.mu)))
        reach = max(1, round(rate / 2))
        return sorted({max(1, rate - reach), rate, rate + reach})

    def _weights(self) -> Tensor:
        used = self.share[: len(self._rates())].abs()
        return used / used.sum()

    def learning_rules(self) -> list[LearningRule]:
        if not hasattr(self, "share"):
            self.begin()
        return [LearningRule((self.share,))]

    def forward(self, input: Tensor) -> Tensor:
        return windowed_dilated_conv2d(input, self.kernel(), self.bias, self._weights(), self._rates(), self.groups)


RIVALS: dict[str, type[Rival]] = {
    "mixture": Mixture,
    "differences": Differences,
    "single path": SinglePath,
    "branches": Branches,
}


class Estimator(LearnedDilation):
    """``learned_dilation`` with another layer."""

    kind: str = "mixture"

    def replacements(self, layers: Any) -> dict[str, nn.Module]:
        """One layer of the estimator's kind each."""
        return {name: RIVALS[self.kind](layer, self, 1) for name, layer in layers.items()}


class Listening(lightning.Callback):
    """Hands batches and losses to a rival, and ends the training behind the search phase."""

    def __init__(self, last: int) -> None:
        self.last = last

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        for layer in pl_module.modules():
            if isinstance(layer, Rival):
                layer.before(pl_module, batch)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        for layer in pl_module.modules():
            if isinstance(layer, Rival):
                layer.told(outputs["loss"].item())
        trainer.should_stop = trainer.global_step >= self.last


def study(data: str, camvid: Path | None, workers: int = 1) -> StudySpec:
    """The study of a data set: the manual grid and learned dilation from three starts, three seeds."""
    kind, _, size = data.partition(" ")
    name = f"learned_dilation_{kind}"
    values = yaml.safe_load((builtin.folder("studies") / f"{name}.yaml").read_text())
    values |= {"executor": {"workers": workers}}
    if size:
        values["data"]["object_size"] = int(size)
        values["name"] = name if size == "32" else f"{name}_{size}"
    else:
        values["data"]["root"] = str(camvid)
    return parse_study(values, values["name"])


def searched(data: str, camvid: Path | None, estimator: str, start: float, seed: int) -> dict[str, Any]:
    """The search phase of one training: what it fixes, and how it ranks the grid's options."""
    torch.set_num_threads(1)
    spec = study(data, camvid)
    splits = load(spec.data)
    torch.manual_seed(seed)
    method = Estimator(kind=estimator, start=start, extra=0.25)
    epochs = method.steps(spec.training.epochs)
    model = adapt(build(spec.model, splits.class_names), method)
    module = SegmentationModule(model, spec.training.model_copy(update={"epochs": epochs}), splits)
    steps = epochs * math.ceil(len(splits.train) / spec.training.batch_size)
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
        callbacks=[ReceptiveFieldCallback(), Listening(math.ceil(method.search * steps))],
    )  # fmt: skip
    train = splits.train.with_augmentation(spec.data.augmentation, seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(module, loader(train, spec.training.batch_size, seed, shuffle=True))
    (layer,) = (one for one in model.modules() if isinstance(one, LearnedDilationConv2d))
    layer.advance(method.search)
    ranked = dict(zip(method.rates, layer.losses(), strict=True))
    key = {"data": data, "estimator": estimator, "start": start, "seed": seed}
    return {**key, "fixed": layer.nearest_option(), "losses": [ranked[rate] for rate in GRID]}


def tasks() -> Iterator[tuple[str, str, float, int]]:
    """Everything to run: data, estimator, start, seed."""
    for seed in SEEDS:
        for data in DATA:
            for estimator in RIVALS:
                for start in STARTS[:1] if estimator in ONE_START else STARTS:
                    yield data, estimator, start, seed


def run(root: Path, camvid: Path | None, workers: int) -> list[dict[str, Any]]:
    """Run what is missing; every result is a line of the file."""
    file = root / "dilation_estimators.jsonl"
    done = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    known = {(one["data"], one["estimator"], one["start"], one["seed"]) for one in done}
    missing = [task for task in tasks() if task not in known and (camvid or task[0] != "camvid")]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool, file.open("a") as out:
        for future in as_completed(
            pool.submit(searched, data, camvid, estimator, start, seed) for data, estimator, start, seed in missing
        ):
            done.append(future.result())
            out.write(json.dumps(done[-1]) + "\n")
            out.flush()
            print(done[-1], flush=True)
    return done


class Grid:
    """What separate trainings say of every dilation, and complete trainings of ``learned_dilation``."""

    def __init__(self, root: Path, data: str, camvid: Path | None, workers: int) -> None:
        spec = study(data, camvid, workers)
        search(spec, spec.name, root)
        records = [record for record in open_store(root, spec.name).records() if record.state == "complete"]
        manual = [record for record in records if record.configuration["method"] == "dilation"]
        self.learned = [record for record in records if record.configuration["method"] == "learned_dilation"]
        self.scores = {
            rate: [one.value("miou") for one in manual if one.configuration["rate"] == rate] for rate in GRID
        }
        self.means = {rate: statistics.mean(scores) for rate, scores in self.scores.items()}
        self.best = max(self.means, key=self.means.__getitem__)
        self.noise = statistics.stdev(self.scores[self.best])
        self.pooled = math.sqrt(statistics.mean(statistics.variance(scores) for scores in self.scores.values()))
        self.seconds = statistics.median(float(one.result.cpu_seconds) for one in manual)

    def searches(self, data: str) -> list[dict[str, Any]]:
        """What the complete trainings fixed, and how their profiles rank the grid's options."""
        found = []
        for record in self.learned:
            trace = stepped(record)
            losses = dict(zip(trace.rates, trace.profiles[0], strict=True))
            key = {"data": data, "estimator": "profile", "start": record.configuration["start"], "seed": record.seed}
            fixed = round(record.result.learned["dilation"])
            found.append({**key, "fixed": fixed, "losses": [losses[rate] for rate in GRID]})
        return found

    def at(self, rate: float) -> float:
        """The grid's mean at the option of the grid nearest to a dilation, in log-units."""
        return self.means[min(GRID, key=lambda option: abs(math.log(option / rate)))]

    def steps_off(self, rate: float) -> int:
        """How many options of the grid lie between a dilation and the best one."""
        nearest = min(GRID, key=lambda option: abs(math.log(option / rate)))
        return abs(GRID.index(nearest) - GRID.index(self.best))


def grid_table(grids: dict[str, Grid]) -> list[str]:
    """The manual grid: mean and standard deviation over three seeds."""
    lines = ["| data | " + " | ".join(f"d = {rate}" for rate in GRID) + " |", "|---" * (len(GRID) + 1) + "|"]
    for data, grid in grids.items():
        cells = [
            f"{'**' if rate == grid.best else ''}{grid.means[rate]:.3f}{'**' if rate == grid.best else ''} "
            f"({statistics.stdev(grid.scores[rate]):.3f})"
            for rate in GRID
        ]
        lines.append(f"| {data} | " + " | ".join(cells) + " |")
    return lines


def estimator_table(grids: dict[str, Grid], done: Sequence[dict[str, Any]]) -> list[str]:
    """What each estimator fixes after the same search phase, and how well it ranks."""
    lines = [
        "| data | estimator | runs | fixed, by start 1; 4; 12 | within one sd of the best | within one grid step | "
        "worst loss of mIoU | Kendall tau, mean (least) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for data, grid in grids.items():
        quality = [-grid.means[rate] for rate in GRID]
        for estimator in ("profile", *RIVALS):
            known = grid.searches(data) if estimator == "profile" else done
            runs = [one for one in known if (one["data"], one["estimator"]) == (data, estimator)]
            runs.sort(key=lambda one: one["seed"])
            if not runs:
                continue
            regrets = [grid.means[grid.best] - grid.at(one["fixed"]) for one in runs]
            taus = [float(kendalltau(one["losses"], quality).statistic) for one in runs]
            fixed = "; ".join(
                ", ".join(
                    f"{one['fixed']}" for one in sorted(runs, key=lambda one: one["seed"]) if one["start"] == start
                )
                for start in STARTS
            )
            lines.append(
                f"| {data} | {estimator} | {len(runs)} | {fixed} | "
                f"{sum(regret <= grid.noise for regret in regrets)}/{len(runs)} | "
                f"{sum(grid.steps_off(one['fixed']) <= 1 for one in runs)}/{len(runs)} | {max(regrets):.3f} | "
                f"{statistics.mean(taus):.2f} ({min(taus):.2f}) |"
            )
    return lines


def training_table(grids: dict[str, Grid]) -> list[str]:
    """Complete trainings of ``learned_dilation`` against the grid's best."""
    lines = [
        "| data | grid's best, mean (sd) | start | fixed | mIoU | mean less the best's | CPU time to one of the grid |",
        "|---|---|---|---|---|---|---|",
    ]
    for data, grid in grids.items():
        for start in STARTS:
            runs = sorted(
                (one for one in grid.learned if float(one.configuration["start"]) == start), key=lambda one: one.seed
            )
            scores = [one.value("miou") for one in runs]
            fixed = ", ".join(f"{one.result.learned['dilation']:g}" for one in runs)
            ratio = statistics.median(float(one.result.cpu_seconds) for one in runs) / grid.seconds
            lines.append(
                f"| {data} | d = {grid.best}: {grid.means[grid.best]:.3f} ({grid.noise:.3f}) | {start:g} | {fixed} | "
                f"{', '.join(f'{score:.3f}' for score in scores)} | "
                f"{statistics.mean(scores) - grid.means[grid.best]:+.3f} | {ratio:.2f} |"
            )
    return lines


def main() -> None:
    """Run what is missing, print the tables, and record them with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camvid", type=Path, help="folder of CamVid; without it only digits are run")
    parser.add_argument("--root", type=Path, default=Path("runs"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    given.root.mkdir(parents=True, exist_ok=True)
    done = run(given.root, given.camvid, given.workers)
    data = [one for one in DATA if given.camvid or one != "camvid"]
    grids = {one: Grid(given.root, one, given.camvid, given.workers) for one in data}
    text = "\n".join(
        [
            "# Estimators of the dilation",
            "",
            f"{datetime.now(UTC).date()}, {platform.machine()}, torch {torch.__version__}, one thread a training, "
            "validation mIoU; `python benchmarks/dilation_estimators.py --camvid DIR --write`.",
            "",
            "## The manual grid, three seeds: mean (standard deviation)",
            "",
            *grid_table(grids),
            "",
            "## What an estimator fixes after the same search phase (as long as a quarter of a grid training)",
            "",
            "The loss of mIoU is the grid's best mean less its mean at the option nearest to what was fixed. tau is",
            "Kendall's, between the estimator's order of the grid's options and the order of the grid's means.",
            "",
            *estimator_table(grids, done),
            "",
            "## Complete trainings of `learned_dilation`",
            "",
            *training_table(grids),
            "",
        ]
    )
    print(text)
    if given.write:
        write_atomically(Path(__file__).parent / "results" / "dilation_estimators.md", text)


if __name__ == "__main__":
    main()
