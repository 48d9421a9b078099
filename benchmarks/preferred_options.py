"""What ``prefer`` would fix: the smallest, the lowest or the largest of the options that a search could not tell apart.

The search phase of learned dilation on digits of three sizes, from two starts with three seeds, and on CamVid where its
folder is given; judged by the means of separate trainings in ``results/dilation_estimators.md``. No training goes on
behind its search, so a run costs a fifth of one, or ``--search`` of it.

Run: ``python benchmarks/preferred_options.py [--camvid DIR] > benchmarks/results/preferred_options.md``
"""

import argparse
import math
import statistics
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import lightning
import torch
from dilation_estimators import DATA, GRID, Listening, study

from autorf.data import load
from autorf.methods import LearnedDilation
from autorf.methods.dilation_search import LearnedDilationConv2d
from autorf.networks import build
from autorf.surgery import adapt
from autorf.training.batches import loader
from autorf.training.callback import ReceptiveFieldCallback
from autorf.training.module import SegmentationModule

TABLE = Path(__file__).parent / "results" / "dilation_estimators.md"
PREFERRED = ("smallest", "lowest_loss", "largest")


def grid_means() -> dict[str, dict[int, float]]:
    """The mean mIoU of separate trainings, by data and dilation: the first table of the estimators' page."""
    means: dict[str, dict[int, float]] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        # Later tables have lines of the same names.
        if len(cells) == len(GRID) + 1 and cells[0] in DATA and cells[0] not in means:
            scores = [float(cell.replace("*", "").split()[0]) for cell in cells[1:]]
            means[cells[0]] = dict(zip(GRID, scores, strict=True))
    return means


def searched(
    data: str, camvid: Path | None, start: float, seed: int, explore: float, search: float
) -> dict[str, float]:
    """What each preference would fix behind one search phase."""
    spec = study(data, camvid)
    splits = load(spec.data)
    torch.manual_seed(seed)
    method = LearnedDilation(start=start, explore=explore, search=search, prefer="lowest_loss")
    model = adapt(build(spec.model, splits.class_names), method)
    module = SegmentationModule(model, spec.training, splits)
    steps = spec.training.epochs * math.ceil(len(splits.train) / spec.training.batch_size)
    trainer = lightning.Trainer(
        max_epochs=spec.training.epochs, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
        callbacks=[ReceptiveFieldCallback(), Listening(math.ceil(method.search * steps))],
    )  # fmt: skip
    train = splits.train.with_augmentation(spec.data.augmentation, seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(module, loader(train, spec.training.batch_size, seed, shuffle=True))
    (layer,) = (each for each in model.modules() if isinstance(each, LearnedDilationConv2d))
    layer.advance(method.search)
    alike = layer.alike()
    return {"smallest": alike[0], "lowest_loss": float(layer.rate), "largest": alike[-1]}


def at(means: Mapping[int, float], rate: float) -> float:
    """The grid's mean at the option of the grid nearest to a dilation, in log-units."""
    return means[min(means, key=lambda option: abs(math.log(option / rate)))]


def lines_of(data: str, explore: float, runs: Sequence[Mapping[str, float]], means: Mapping[int, float]) -> list[str]:
    """One line a preference."""
    best, lines = max(means.values()), []
    for preferred in PREFERRED:
        regrets = [best - at(means, run[preferred]) for run in runs]
        fixed = ", ".join(f"{run[preferred]:g}" for run in runs)
        lines.append(
            f"| {data} | {explore:g} | {preferred} | {fixed} | {statistics.mean(regrets):.3f} | {max(regrets):.3f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camvid", type=Path, help="folder of CamVid; without it only digits are run")
    parser.add_argument("--explore", type=float, default=1.0, help="share of a batch's images that explores")
    parser.add_argument("--search", type=float, default=0.2, help="share of the steps that the search takes")
    parser.add_argument("--starts", type=float, nargs="+", default=[1.0, 12.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("# What `prefer` would fix\n")
    starts, seeds = (", ".join(f"{value:g}" for value in values) for values in (given.starts, given.seeds))
    print(f"`explore` {given.explore:g}, `search` {given.search:g}; starts {starts}, each with seeds {seeds}.")
    print("The loss is the grid's best mean less its mean at the option of the grid nearest to what is fixed.\n")
    print("| data | explore | prefer | fixed | mean loss of mIoU | largest |\n|---|---|---|---|---|---|")
    for data, means in grid_means().items():
        if data == "camvid" and given.camvid is None:
            continue
        runs = [
            searched(data, given.camvid, start, seed, given.explore, given.search)
            for start in given.starts
            for seed in given.seeds
        ]
        print("\n".join(lines_of(data, given.explore, runs, means)), flush=True)


if __name__ == "__main__":
    main()
