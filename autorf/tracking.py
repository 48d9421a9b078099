"""The MLflow mirror of a study: a parent run, one child run a trial. Losing it loses nothing."""

import json
import logging
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autorf.study.spec import StudySpec
from autorf.study.store import Record

if TYPE_CHECKING:
    from mlflow import MlflowClient

NOT_METRICS = ("epoch", "seconds")
STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "running": "RUNNING"}


def tracking_uri(uri: str | None, root: Path) -> str:
    """The given URI, or the SQLite file under ``root``."""
    return uri or f"sqlite:///{(root / 'mlflow.db').resolve()}"


def open_mirror(spec: StudySpec, root: Path) -> "Mirror":
    """The mirror a study asks for; without a URI its files lie under ``root`` too, not in the current folder."""
    artifacts = None if spec.tracking.uri else (root / "mlartifacts" / spec.name).resolve().as_uri()
    return Mirror(tracking_uri(spec.tracking.uri, root), spec, artifacts)


class Mirror:
    """Keeps MLflow in step with the store; every call may be repeated.

    When MLflow cannot be reached the study goes on: one line says so, and the next run repairs the mirror.
    """

    def __init__(self, uri: str, spec: StudySpec, artifacts: str | None = None) -> None:
        self.uri, self.spec, self._artifacts = uri, spec, artifacts
        self._client: MlflowClient | None = None
        self._parent = ""
        self._experiment = ""
        self._runs: dict[str, str] = {}
        self._logged: dict[str, int] = {}
        self._ended: set[str] = set()
        self._broken = False

    def sync(self, record: Record) -> None:
        """Bring one trial's run up to its record: missing epochs, final values, state."""
        self._guarded(lambda client: self._sync(client, record))

    def repair(self, records: Iterable[Record]) -> None:
        """Bring every trial's run up to its record, and end the parent run when all are done."""
        rows = list(records)
        for record in rows:
            if record.state in ("complete", "failed", "pruned"):
                self.sync(record)
        unfinished = any(record.state in ("waiting", "running") for record in rows)
        self._guarded(lambda client: self._close(client, rows, unfinished))

    def _guarded(self, action: "Callable[[MlflowClient], None]") -> None:
        if self._broken:
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                action(self._connect())
        except Exception as error:
            self._broken = True
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            print(f"MLflow at {self.uri} failed ({line}); the study goes on, the next run repairs it", file=sys.stderr)

    def _connect(self) -> "MlflowClient":
        if self._client is not None:
            return self._client
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # MLflow sets its own logging up when it is imported, and reads its level from here.
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        client = MlflowClient(tracking_uri=self.uri)
        found = client.get_experiment_by_name(self.spec.name)
        self._experiment = found.experiment_id if found else client.create_experiment(self.spec.name, self._artifacts)
        for run in client.search_runs([self._experiment], "tags.`autorf.trial_key` != ''", max_results=50_000):
            key = run.data.tags["autorf.trial_key"]
            self._runs[key] = run.info.run_id
            steps = client.get_metric_history(run.info.run_id, "loss")
            self._logged[key] = max((metric.step for metric in steps), default=-1)
            if run.info.status != "RUNNING":
                self._ended.add(key)
        self._parent = self._parent_run(client)
        self._client = client
        return client

    def _parent_run(self, client: "MlflowClient") -> str:
        found = client.search_runs([self._experiment], "tags.`autorf.kind` = 'study'", max_results=1)
        if found:
            client.update_run(found[0].info.run_id, status="RUNNING")
            return str(found[0].info.run_id)
        tags = {"autorf.kind": "study", "autorf.study": self.spec.name}
        run = client.create_run(self._experiment, run_name=self.spec.name, tags=tags)
        client.log_dict(run.info.run_id, json.loads(self.spec.model_dump_json()), "study.json")
        return str(run.info.run_id)

    def _sync(self, client: "MlflowClient", record: Record) -> None:
        run = self._run_of(client, record)
        new = [epoch for epoch in record.history if epoch["epoch"] > self._logged.get(record.key, -1)]
        for epoch in new:
            client.log_batch(run, metrics=_metrics(_epoch_values(epoch), int(epoch["epoch"])))
            self._logged[record.key] = int(epoch["epoch"])
        if record.state == "running" or record.key in self._ended:
            return
        result = record.result
        final = {
            **{f"iou/{name}": value for name, value in result.get("iou_per_class", {}).items()},
            **{f"f1/{name}": value for name, value in result.get("f1_per_class", {}).items()},
            "train_seconds": result.get("train_seconds"),
        }
        client.log_batch(run, metrics=_metrics(final, max(self._logged.get(record.key, 0), 0)))
        client.set_tag(run, "autorf.state", record.state)
        if record.reason:
            client.set_tag(run, "autorf.reason", record.reason[:500])
        client.set_terminated(run, STATUS[record.state])
        self._ended.add(record.key)

    def _run_of(self, client: "MlflowClient", record: Record) -> str:
        if record.key in self._runs:
            if record.key in self._ended and record.state == "running":
                client.update_run(self._runs[record.key], status="RUNNING")
                self._ended.discard(record.key)
            return self._runs[record.key]
        tags = {
            "mlflow.parentRunId": self._parent,
            "autorf.kind": "trial",
            "autorf.study": self.spec.name,
            "autorf.trial_key": record.key,
            "autorf.method": str(record.configuration["method"]),
            "autorf.state": record.state,
        }
        run = str(client.create_run(self._experiment, run_name=record.label, tags=tags).info.run_id)
        for name, value in {**record.configuration, "seed": record.seed}.items():
            client.log_param(run, name, value)
        self._runs[record.key] = run
        return run

    def _close(self, client: "MlflowClient", records: list[Record], unfinished: bool) -> None:
        done = [record for record in records if record.state == "complete"]
        if done:
            best = max(done, key=lambda record: float(record.result["miou"]))
            client.log_batch(self._parent, metrics=_metrics({"best_miou": best.result["miou"]}, len(done)))
            client.set_tag(self._parent, "autorf.best_trial_key", best.key)
        client.set_terminated(self._parent, "KILLED" if unfinished else "FINISHED")


def _epoch_values(epoch: dict[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in epoch.items() if name not in NOT_METRICS}
    height, width = values.pop("rf")
    return {**values, "rf": max(height, width), "rf_height": height, "rf_width": width}


def _metrics(values: dict[str, Any], step: int) -> list[Any]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [
        Metric(name, float(value), now, step)
        for name, value in values.items()
        if value is not None and math.isfinite(float(value))
    ]
