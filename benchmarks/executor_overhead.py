"""What executors, storage and MLflow's mirror add to a study whose trials only sleep.

    python benchmarks/executor_overhead.py --output benchmarks/results/executor_overhead.md

Ideal is trials * seconds / workers. The time of a start-up (worker processes with their imports, Ray's node) is shown
apart: it ends with the first trial's first second.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from autorf.driver import search as module
from autorf.executors import Executor
from autorf.study.job import Job
from autorf.study.spec import parse_study

N_TRIALS, SECONDS, WORKERS = 50, 2.0, 2
STUDY: dict[str, Any] = {
    "data": {"name": "digits", "image_size": 48, "object_size": 20, "n_train": 32, "n_val": 8, "n_test": 0},
    "model": {"name": "largefov:test_byobnet", "stage": 1, "channels": [8, 8], "head_norm": True},
    "search_space": [{"method": "dilation", "rate": [1, 2, 3, 4, 5]}],
    "training": {"epochs": 2, "batch_size": 16, "seeds": list(range(N_TRIALS // 5))},
}


def sleeping_trial(
    job: Job, report: Callable[[dict[str, Any]], None], stopped: Callable[[], bool], began: str = ""
) -> dict[str, Any]:
    """Two epochs of a second each; notes when the first of all trials began."""
    first = Path(began)
    if not first.exists():
        first.write_text(str(time.time()))
    scores = {"miou": 0.5, "f1": 0.5, "pixel_accuracy": 0.5, "rf": [9, 9], "rnorm": 0.2, "loss": 1.0}
    for epoch in range(job.epochs):
        time.sleep(SECONDS / job.epochs)
        report({**scores, "epoch": epoch, "seconds": 1.0 + epoch})
        stopped()
    return {**scores, "epochs": job.epochs, "train_seconds": SECONDS, "values": {}, "iou_per_class": {}, "split": "val"}


def measure(kind: str) -> tuple[float, float]:
    """Seconds of start-up, and from the first trial's beginning to the end of the search."""
    with tempfile.TemporaryDirectory() as folder:
        began = Path(folder) / "began"
        trial = partial(sleeping_trial, began=str(began))
        spec = parse_study({**STUDY, "name": kind, "executor": {"kind": kind, "workers": WORKERS}}, kind)

        def made(_: Any, place: Path, jobs: int | None) -> Executor:
            if kind == "ray":
                from autorf.executors.ray import RayExecutor

                return RayExecutor(spec.executor, 1, place, jobs, trial)
            from autorf.executors.local import LocalExecutor

            return LocalExecutor(WORKERS, trial)

        module.make = made  # type: ignore[assignment]
        start = time.time()
        outcome = module.search(spec, kind, Path(folder) / "runs", quiet=True)
        end = time.time()
        assert (outcome.total, outcome.failed) == (N_TRIALS, 0)
        first = float(began.read_text())
    return first - start, end - first


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    ideal = N_TRIALS * SECONDS / WORKERS
    limits = {"local": 1.15, "ray": 1.35}
    lines = [
        f"# Overhead: {N_TRIALS} trials of {SECONDS:g} s, {WORKERS} workers, ideally {ideal:g} s",
        "",
        "| executor | start-up | then | of the ideal | at most |",
        "|---|---|---|---|---|",
    ]
    passed = True
    for kind, limit in limits.items():
        startup, seconds = measure(kind)
        passed &= seconds / ideal <= limit
        lines.append(f"| {kind} | {startup:.1f} s | {seconds:.1f} s | {seconds / ideal:.3f} | {limit} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
