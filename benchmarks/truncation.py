"""Cut every file of a study at random lengths: is it said, and is what the storage knows still there?

    python benchmarks/truncation.py --output benchmarks/results/truncation.md

One trial of the study is complete, one was stopped after two epochs. A cut is well met when the study is as it was (the
storage knows all that counts, the checkpoint before serves), or refused in one line; in both cases with a word about it
where a trial would begin anew or the study could not go on. It is a silent restart when a trial that was trained begins
from nothing without a word, a loss when a finished trial is gone from a storage that still opens.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from autorf.comparison import compare_studies, results_of
from autorf.errors import InputError
from autorf.store.record import Record
from autorf.store.store import Store, open_store
from autorf.study.spec import StudySpec, parse_study
from autorf.study.trial import grid
from autorf.training.resuming import clear_checkpoints, newest_checkpoint

STUDY = {
    "name": "cut",
    "data": {"name": "digits", "image_size": 48, "object_size": 20, "n_train": 32, "n_val": 8, "n_test": 0},
    "model": {"name": "largefov:test_byobnet", "stage": 1, "channels": [8, 8], "head_norm": True},
    "search_space": [{"method": "dilation", "rate": [1, 3]}],
    "training": {"epochs": 3, "batch_size": 16},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=20, help="a file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    spec = parse_study(STUDY, "cut")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "whole"
        make_study(spec, root)
        answers = cut_everything(spec, root, options.cuts, random.Random(options.seed))
    text = _table(answers)
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    return any(answer in WRONG for counts in answers.values() for answer in counts)


WRONG = ("silent restart", "finished trial lost")


def make_study(spec: StudySpec, root: Path) -> None:
    """A study with one finished trial and one that was stopped after two epochs."""
    from autorf.running.runner import run
    from autorf.study.job import Job

    store = Store(root / spec.name, spec.name)
    store.register(spec, grid(spec, "cut"))
    for stop_after in (spec.training.epochs, 2):
        record = store.claim()
        assert record is not None
        folder = store.folder / "trials" / record.key
        reported: list[int] = []
        job = Job(record.row, record.key, record.configuration, record.seed, spec, folder)
        result = run(
            job,
            lambda epoch, record=record, reported=reported: (  # type: ignore[misc]
                store.report(record, epoch),
                reported.append(epoch.epoch),
            ),
            lambda reported=reported, stop_after=stop_after: len(reported) >= stop_after,  # type: ignore[misc]
        )
        if stop_after == spec.training.epochs:
            store.complete(record, result, result.miou)
            clear_checkpoints(folder)


def cut_everything(spec: StudySpec, root: Path, cuts: int, draw: random.Random) -> dict[str, Counter[str]]:
    """What came of each cut, by file."""
    before = {record.key: record for record in open_store(root, spec.name).records()}
    answers: dict[str, Counter[str]] = {}
    for path in _files(root):
        size = (root / path).stat().st_size
        for length in [0, *(draw.randrange(size) for _ in range(cuts - 1))]:
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / "cut"
                shutil.copytree(root, copy)
                os.truncate(copy / path, length)
                answers.setdefault(_kind(path, before), Counter())[answer_of(spec, copy, before)] += 1
    return answers


def answer_of(spec: StudySpec, root: Path, before: dict[str, Record]) -> str:
    """How a study whose file was cut is met."""
    try:
        store = Store(root / spec.name, spec.name)
        after = {record.key: record for record in store.records()}
    except InputError as error:
        return "refused in one line" if "\n" not in str(error) else "refused in many lines"
    for key, record in before.items():
        if record.state == "complete" and (key not in after or after[key].result != record.result):
            return "finished trial lost"
    said: list[str] = []
    for key, record in before.items():
        if record.state != "complete":
            path, notes = newest_checkpoint(root / spec.name / "trials" / key, len(record.history))
            said += notes
            if path is None and not notes:
                return "silent restart"
            if path is None:
                return "begins anew, said in the record"
    compare_studies([results_of(store)]).to_json()
    return "goes on from the checkpoint before, said in the record" if said else "nothing is needed of it"


def _files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.stat().st_size:
            yield path.relative_to(root)


def _kind(path: Path, before: dict[str, Record]) -> str:
    record = before.get(path.parent.name)
    return path.name if record is None else f"{path.name} of a {record.state} trial"


def _table(answers: dict[str, Counter[str]]) -> str:
    lines = ["# Truncation: every file of a study cut at random lengths", "", "| file | cuts | what comes of it |"]
    lines.append("|---|---|---|")
    for name, counts in answers.items():
        told = "; ".join(f"{answer} ({count})" for answer, count in counts.most_common())
        lines.append(f"| `{name}` | {sum(counts.values())} | {told} |")
    wrong = {answer: sum(counts[answer] for counts in answers.values()) for answer in WRONG}
    lines += ["", "; ".join(f"{answer}: {count}" for answer, count in wrong.items()) + "."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
