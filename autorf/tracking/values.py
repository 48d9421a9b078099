"""What of a study and its trials MLflow shows: tags, parameters, metrics, the data-set record."""

import hashlib
import json
import math
import posixpath
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from autorf.comparison import StudyResults, compare_studies
from autorf.comparison.rnorm import best_line
from autorf.errors import in_short
from autorf.store.store import Record
from autorf.store.traces import KEPT_APART
from autorf.study.objectives import sign
from autorf.study.settings import IMAGE_SIZE
from autorf.study.spec import StudySpec
from autorf.training.results import EpochReport, TrialResult, group_scores

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric, Param

Entry = TypeVar("Entry")

LONGEST_VALUE = 5_000
"""Characters of a tag or parameter; MLflow refuses more than 6 000."""

_PER_CLASS = "per_class_"
_FINAL_COSTS = ("parameters", "peak_memory_mb")


def study_tags(spec: StudySpec, identity: str) -> dict[str, str]:
    """Tags of the parent run."""
    return {"autorf.kind": "study", "autorf.study": spec.name, "autorf.study_id": identity}


EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""MLflow 3 opens an experiment whose kind it does not know as one of language models, without the table of runs."""


def study_parameters(spec: StudySpec) -> "list[Param]":
    """The study file's values by their dotted keys, as parameters of the parent run; no address, and no password."""
    from mlflow.entities import Param

    parts = json.loads(spec.model_dump_json(include=set(_PARTS)))
    flat = {name: value for part in _PARTS for name, value in _dotted(part, parts[part])}
    return [Param(metric_name(name), _written(value)) for name, value in flat.items()]


_PARTS = ("data", "model", "training", "search", "evaluation", "search_space")
"""The parts of a study file that say what was studied."""


def _dotted(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every plain value by its dotted key; lists are values."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _dotted(f"{path}.{name}", inner)
    else:
        yield path, value


def _written(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:LONGEST_VALUE]


def trial_tags(spec: StudySpec, identity: str, record: Record, parent: str) -> dict[str, str]:
    """Tags of a trial's run."""
    return {
        **study_tags(spec, identity),
        "autorf.kind": "trial",
        "mlflow.parentRunId": parent,
        "autorf.trial_key": record.key,
        "autorf.method": record.method,
        "autorf.state": record.state,
        **({} if record.fold is None else {"autorf.fold": str(record.fold)}),
    }


def parameters(record: Record) -> "list[Param]":
    """Configuration and seed."""
    from mlflow.entities import Param

    values = {**record.configuration, "seed": record.seed}
    return [Param(name, str(value)[:LONGEST_VALUE]) for name, value in values.items()]


def epoch_metrics(record: Record, after: int) -> "list[Metric]":
    """What every epoch later than number ``after`` measured; ``epoch`` last seen tells how far a run is."""
    fixed = _set_dilation(record)
    collected: list[Metric] = []
    for report in record.history:
        if report.epoch > after:
            values = {
                "dilation": fixed,
                **report.learned,
                "epoch": report.epoch,
                "loss": report.loss,
                **_shared(report),
            }
            collected += metrics(values, report.epoch)
            collected += _step_metrics(report.trace)
    return collected


def _step_metrics(trace: Mapping[str, Any]) -> "list[Metric]":
    """Learned values, and the window's weight of every option, against the step of the training."""
    logged: list[Metric] = []
    steps = trace.get("step", ())
    # A trace of an earlier version may lack a name's first steps.
    whole = [name for name, noted in trace.items() if name not in KEPT_APART and len(noted) == len(steps)]
    for at, step in enumerate(steps):
        values = {f"{name}_by_step": trace[name][at] for name in whole}
        if at < len(trace.get("window", ())):
            values |= {
                f"window.{rate:g}": weight for rate, weight in zip(trace["rates"], trace["window"][at], strict=True)
            }
        logged += metrics(values, step)
    return logged


def final_metrics(record: Record) -> "list[Metric]":
    """What a trial's result says beyond its last epoch's metrics, at the step of that epoch."""
    result, last = record.result, record.last
    if result is None:
        return []
    reported = {} if last is None else {**last.learned, **_shared(last)}
    values: dict[str, Any] = {**result.learned, **_shared(result)}
    values |= {"train_seconds": result.seconds, "cpu_seconds": result.cpu_seconds}
    values |= {name: result.costs.get(name) for name in _FINAL_COSTS}
    changed = {name: value for name, value in values.items() if value != reported.get(name)}
    if (fused := result.multiscale) is not None:
        changed |= {
            f"multiscale_{name}": value for name, value in {**fused.metrics, **group_scores(fused.groups)}.items()
        }
    by_score = {"iou": result.iou_per_class, "f1": result.f1_per_class, "accuracy": result.accuracy_per_class}
    for score, by_class in by_score.items():
        # Without a slash: MLflow's page would show them as a section before all curves.
        changed |= {f"{_PER_CLASS}{score}.{name}": value for name, value in by_class.items()}
    return metrics(changed, 0 if last is None else last.epoch)


def _shared(report: EpochReport | TrialResult) -> dict[str, Any]:
    """What both an epoch and a result show; costs only of an epoch, where one is an objective."""
    costs = report.costs if isinstance(report, EpochReport) else {}
    sides = {} if report.rf is None else _sides(report.rf)
    return {
        **report.metrics,
        **group_scores(report.groups),
        **costs,
        "rnorm": report.rnorm,
        "steps": report.steps,
        **sides,
    }


def line_metrics(records: Sequence[Record], spec: StudySpec, folder: Path) -> "list[Metric]":
    """The rnorm that fits all image sizes of a study and its 95 % interval; nothing for one size or without a fit."""
    if not any(IMAGE_SIZE in record.configuration for record in records):
        return []
    rows = tuple(records)
    study = StudyResults(spec.name, rows, rows, spec.model_dump(mode="json"), folder)
    comparison = compare_studies([study])
    line = best_line(comparison.rnorm, sign(comparison.metric))
    if line is None:
        return []
    return metrics({"rnorm_line": line.ratio, "rnorm_line_low": line.low, "rnorm_line_high": line.high}, len(records))


def metrics(values: Mapping[str, Any], step: int) -> "list[Metric]":
    """The finite numbers among ``values`` as metrics; names take the characters that MLflow allows."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    numbers = {name: v for name, v in values.items() if isinstance(v, int | float) and math.isfinite(v)}
    names = metric_names(numbers)
    return [Metric(names[name], float(value), now, step) for name, value in numbers.items()]


def metric_names(names: Iterable[str]) -> dict[str, str]:
    """Under which name MLflow has each of ``names``: no two the same, though it stores fewer characters than we.

    >>> metric_names(["f1.tree", "f1.a?", "f1.a!"])
    {'f1.tree': 'f1.tree', 'f1.a?': 'f1.a_', 'f1.a!': 'f1.a_ 2'}
    """
    mirrored: dict[str, str] = {}
    for name in names:
        plain = metric_name(name)
        same = sum(metric_name(other) == plain for other in mirrored)
        mirrored[name] = f"{plain} {same + 1}" if same else plain
    return mirrored


def metric_name(name: str) -> str:
    """``name`` with ``_`` for what MLflow refuses: other characters, and what would lead out of a folder in a path."""
    plain = re.sub(r"[^A-Za-z0-9_\-./: ]", "_", name)[:200]
    return plain if posixpath.normpath(plain) == plain and plain[:1] not in "/." else re.sub(r"[/.]", "_", plain)


def renamed_classes(class_names: Iterable[str]) -> str | None:
    """What to say of classes whose names MLflow cannot store; None where it stores them all."""
    before = f"{_PER_CLASS}iou."
    names = metric_names(f"{before}{name}" for name in class_names)
    renamed = {name: mirrored for name, mirrored in names.items() if name != mirrored}
    listed = [
        f"{name.removeprefix(before)!r} as {mirrored.removeprefix(before)!r}" for name, mirrored in renamed.items()
    ]
    return in_short(f"MLflow has other names for {len(listed)} classes: {', '.join(listed)}") if listed else None


def chunks(entries: "list[Entry]", size: int = 1000) -> "Iterable[list[Entry]]":
    """Parts of at most ``size``, which is MLflow's limit for one request."""
    return (entries[start : start + size] for start in range(0, len(entries), size))


def data_set(spec: StudySpec) -> "DatasetInput":
    """The record of the data that every figure of the study was measured on: the validation split."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    content = spec.data.model_dump_json()
    root = getattr(spec.data, "root", None)
    source = {"tags": {"autorf.data": content}} if root is None else {"uri": str(root.resolve())}
    described = Dataset(
        name=spec.data.name,
        digest=hashlib.sha256(content.encode()).hexdigest()[:12],
        source_type="code" if root is None else "local",
        source=json.dumps(source),
        profile=content,
    )
    return DatasetInput(described, [InputTag("mlflow.data.context", "validation")])


def _sides(rf: Any) -> dict[str, float]:
    height, width = rf
    return {"rf": max(height, width), "rf_height": height, "rf_width": width}


def _set_dilation(record: Record) -> float | None:
    """The dilation that was set by hand, as the comparison shows it."""
    return record.set_dilation
