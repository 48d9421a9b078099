"""Manual against learned receptive fields: rows, groups over seeds, and a verdict."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import mean, stdev
from typing import Any

from autorf.methods import MANUAL
from autorf.study.store import Record
from autorf.study.trial import side_text, trial_from


@dataclass(frozen=True)
class Row:
    """One trial; what does not apply is None. Field names are a contract."""

    key: str
    method: str
    params: dict[str, Any]
    seed: int
    state: str
    rf: list[float] | None
    rnorm: float | None
    f: float | None
    dilation: float | None
    miou: float | None
    f1: float | None
    pixel_accuracy: float | None
    train_seconds: float | None
    epochs: int | None
    reason: str | None
    split: str | None

    @property
    def setting(self) -> str:
        """The parameters in a few words."""
        return trial_from({"method": self.method, **self.params}, self.seed).setting


@dataclass(frozen=True)
class Group:
    """The complete trials of one configuration, over its seeds.

    ``miou_ci95`` is the half-width of Student's 95 % interval of the mean; None for fewer than two seeds.
    """

    method: str
    params: dict[str, Any]
    n: int
    miou_mean: float
    miou_std: float | None
    miou_ci95: float | None
    rf: list[float]
    rnorm: float
    train_seconds: float


@dataclass(frozen=True)
class Verdict:
    """Best manual against best learned configuration, on the validation split.

    ``difference`` is learned minus manual; ``difference_ci95`` the half-width of its paired 95 % interval over common
    seeds, None for fewer than two; ``cost_ratio`` the seconds of the learned configuration over those of the whole
    manual grid.
    """

    best_manual: dict[str, Any] | None
    best_learned: dict[str, Any] | None
    difference: float | None
    difference_ci95: float | None
    cost_ratio: float | None
    sentence: str


@dataclass(frozen=True)
class Comparison:
    """Everything ``autorf compare`` shows."""

    study: str
    metric: str
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    verdict: Verdict

    def to_json(self) -> str:
        """The contract of ``autorf compare --format json``."""
        return json.dumps(asdict(self), indent=2)

    def to_csv(self) -> str:
        """The rows; ``params`` and ``rf`` as JSON."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            values = asdict(row)
            values["params"] = json.dumps(row.params)
            values["rf"] = None if row.rf is None else json.dumps(row.rf)
            writer.writerow(values)
        return text.getvalue()


def compare(study: str, records: Iterable[Record]) -> Comparison:
    """Rows, groups and verdict of a study as it stands; waiting trials are left out."""
    rows = tuple(_row(record) for record in records if record.state != "waiting")
    groups = tuple(_groups(rows))
    return Comparison(study, "miou", rows, groups, _verdict(rows, groups))


def _row(record: Record) -> Row:
    result = record.result
    last = record.history[-1] if record.history else {}
    values = result.get("values", {})
    params = {name: value for name, value in record.configuration.items() if name != "method"}
    set_dilation = params.get("rate", params.get("dilation"))
    return Row(
        key=record.key,
        method=str(record.configuration["method"]),
        params=params,
        seed=record.seed,
        state=record.state,
        rf=result.get("rf", last.get("rf")),
        rnorm=result.get("rnorm", last.get("rnorm")),
        f=values.get("f", last.get("f")),
        dilation=values.get("dilation", last.get("dilation", set_dilation)),
        miou=result.get("miou"),
        f1=result.get("f1"),
        pixel_accuracy=result.get("pixel_accuracy"),
        train_seconds=result.get("train_seconds", last.get("seconds")),
        epochs=len(record.history) or None,
        reason=record.reason,
        split=result.get("split"),
    )


def _groups(rows: Sequence[Row]) -> Iterable[Group]:
    together: dict[str, list[Row]] = {}
    for row in rows:
        if row.state == "complete":
            together.setdefault(json.dumps([row.method, row.params], sort_keys=True), []).append(row)
    for members in together.values():
        scores = [row.miou for row in members if row.miou is not None]
        first = members[0]
        yield Group(
            method=first.method,
            params=first.params,
            n=len(scores),
            miou_mean=mean(scores),
            miou_std=stdev(scores) if len(scores) > 1 else None,
            miou_ci95=half_width(scores),
            rf=[round(mean(row.rf[axis] for row in members if row.rf), 2) for axis in (0, 1)],
            rnorm=mean(row.rnorm for row in members if row.rnorm is not None),
            train_seconds=mean(row.train_seconds or 0.0 for row in members),
        )


def half_width(values: Sequence[float]) -> float | None:
    """Half the width of Student's 95 % interval of the mean; None for fewer than two values."""
    if len(values) < 2:
        return None
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5


def _verdict(rows: Sequence[Row], groups: Sequence[Group]) -> Verdict:
    manual = max((group for group in groups if group.method in MANUAL), key=_score, default=None)
    learned = max((group for group in groups if group.method not in MANUAL), key=_score, default=None)
    if manual is None or learned is None:
        missing = "manual" if manual is None else "learned"
        found = manual or learned
        best = f"; best so far: {_words(found)}" if found else ""
        return Verdict(
            asdict(manual) if manual else None,
            asdict(learned) if learned else None,
            None,
            None,
            None,
            f"No verdict yet: no {missing} trial is complete{best}.",
        )
    difference = learned.miou_mean - manual.miou_mean
    interval = half_width(_paired(rows, learned, manual))
    grid_seconds = sum(group.train_seconds * group.n for group in groups if group.method in MANUAL)
    ratio = learned.train_seconds * learned.n / grid_seconds if grid_seconds else None
    sentence = _sentence(manual, learned, difference, interval, ratio)
    return Verdict(asdict(manual), asdict(learned), difference, interval, ratio, sentence)


def _score(group: Group) -> float:
    return group.miou_mean


def _paired(rows: Sequence[Row], learned: Group, manual: Group) -> list[float]:
    def by_seed(group: Group) -> dict[int, float]:
        return {
            row.seed: row.miou
            for row in rows
            if row.miou is not None and (row.method, row.params) == (group.method, group.params)
        }

    ours, theirs = by_seed(learned), by_seed(manual)
    return [ours[seed] - theirs[seed] for seed in ours if seed in theirs]


def _sentence(manual: Group, learned: Group, difference: float, interval: float | None, ratio: float | None) -> str:
    cost = "" if ratio is None else f" at {ratio:.0%} of the manual grid's training time"
    if interval is None:
        judged = f"one seed cannot tell whether the difference of {difference:+.3f} is more than noise"
    elif abs(difference) <= interval:
        judged = f"no difference at this number of seeds ({difference:+.3f} ± {interval:.3f})"
    else:
        judged = f"learning is {'better' if difference > 0 else 'worse'} ({difference:+.3f} ± {interval:.3f})"
    return f"Best learned {_words(learned)} against best manual {_words(manual)}{cost}: {judged}."


def _words(group: Group) -> str:
    setting = trial_from({"method": group.method, **group.params}, 0).setting
    rf = side_text(group.rf)
    return f"{group.method} ({setting}; rf {rf}, rnorm {group.rnorm:.2f}) mIoU {group.miou_mean:.3f}"
