"""What of a study and its trials MLflow shows: tags, parameters, metrics, the data-set record."""

import hashlib
import json
import math
import re
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from autorf.store.store import Record
from autorf.store.traces import KEPT_APART
from autorf.study.spec import StudySpec
from autorf.study.trial import trial_from

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric, Param

LONGEST_VALUE = 5_000
"""Characters of a tag or parameter; MLflow refuses more than 6 000."""

_NOT_METRICS = ("seconds", "cpu_seconds", "trace")
_FINAL = ("miou", "f1", "pixel_accuracy", "train_seconds", "cpu_seconds", "parameters", "peak_memory_mb")


def study_tags(spec: StudySpec, identity: str) -> dict[str, str]:
    """Tags of the parent run."""
    return {"autorf.kind": "study", "autorf.study": spec.name, "autorf.study_id": identity}


def trial_tags(spec: StudySpec, identity: str, record: Record, parent: str) -> dict[str, str]:
    """Tags of a trial's run."""
    return {
        **study_tags(spec, identity),
        "autorf.kind": "trial",
        "mlflow.parentRunId": parent,
        "autorf.trial_key": record.key,
        "autorf.method": str(record.configuration["method"]),
        "autorf.state": record.state,
    }


def parameters(record: Record) -> "list[Param]":
    """Configuration and seed."""
    from mlflow.entities import Param

    values = {**record.configuration, "seed": record.seed}
    return [Param(name, str(value)[:LONGEST_VALUE]) for name, value in values.items()]


def epoch_metrics(record: Record, after: int) -> "list[Metric]":
    """What every epoch later than number ``after`` measured; ``epoch`` last seen tells how far a run is."""
    fixed = _set_dilation(record)
    found: list[Metric] = []
    for epoch in record.history:
        if epoch["epoch"] > after:
            values = {"dilation": fixed, **{k: v for k, v in epoch.items() if k not in _NOT_METRICS}}
            found += metrics({**values, **_sides(epoch["rf"])}, int(epoch["epoch"]))
            found += _step_metrics(epoch.get("trace") or {})
    return found


def _step_metrics(trace: Mapping[str, Any]) -> "list[Metric]":
    """Learned values, and the window's share of every option, against the step of the training."""
    found: list[Metric] = []
    steps = trace.get("step", ())
    # A trace of an earlier version may lack a name's first steps.
    whole = [name for name, noted in trace.items() if name not in KEPT_APART and len(noted) == len(steps)]
    for at, step in enumerate(steps):
        values = {f"{name}_by_step": trace[name][at] for name in whole}
        if at < len(trace.get("window", ())):
            values |= {
                f"window.{rate:g}": share for rate, share in zip(trace["rates"], trace["window"][at], strict=True)
            }
        found += metrics(values, step)
    return found


def final_metrics(record: Record) -> "list[Metric]":
    """What a trial's result says beyond its last epoch's metrics, at the step of that epoch."""
    result = record.result
    known = record.history[-1] if record.history else {}
    step = int(known.get("epoch", 0))
    values: dict[str, Any] = {name: result.get(name) for name in _FINAL}
    values |= {**result.get("values", {}), "rnorm": result.get("rnorm")}
    values |= _sides(result["rf"]) if "rf" in result and result["rf"] != known.get("rf") else {}
    for score in ("iou", "f1"):
        # Without a slash: MLflow's page would show them as a section before all curves.
        values |= {f"per_class_{score}.{name}": value for name, value in result.get(f"{score}_per_class", {}).items()}
    return metrics({name: value for name, value in values.items() if value != known.get(name)}, step)


def metrics(values: Mapping[str, Any], step: int) -> "list[Metric]":
    """The finite numbers among ``values`` as metrics; names take the characters that MLflow allows."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [
        Metric(metric_name(name), float(value), now, step)
        for name, value in values.items()
        if isinstance(value, int | float) and math.isfinite(value)
    ]


def metric_name(name: str) -> str:
    """``name`` with ``_`` for every character that MLflow refuses."""
    return re.sub(r"[^A-Za-z0-9_\-./: ]", "_", name)[:200]


def chunks(found: "list[Metric]", size: int = 1000) -> "Iterable[list[Metric]]":
    """Parts of at most ``size``, which is MLflow's limit for one request."""
    return (found[start : start + size] for start in range(0, len(found), size))


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
    return trial_from(record.configuration, record.seed).method.set_dilation
