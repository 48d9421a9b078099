"""Brings the runs of one study in MLflow up to what its store says; every call may be repeated."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autorf.running.evidence import read_evidence
from autorf.store.ranking import manual, objective, ranked, score
from autorf.store.replicates import Replicate, replicates, trials_of
from autorf.store.store import Record
from autorf.study.spec import StudySpec
from autorf.surgery.storage import SIDECAR, WEIGHTS
from autorf.tracking import values
from autorf.tracking.client import connect
from autorf.tracking.images import sample_strips, trajectories, trajectory
from autorf.tracking.recommended import recommended

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "running": "RUNNING"}
_PAGE = 1000


@dataclass
class _Run:
    """A trial's run as it was last seen: its last epoch, whether it runs, in which state nothing of it was missing."""

    id: str
    epoch: int = -1
    running: bool = True
    whole: str = ""
    kept: bool = False


class Mirror:
    """One study in MLflow: a parent run, and a child run a trial.

    Runs are found by the study's identity and the trial's key, so that a repeated, resumed or second driver finds
    those that are there.

    Args:
        uri: MLflow's.
        spec: the study.
        identity: of the study's store.
        folder: of the study, for weights and evidence.
        artifacts: where a new experiment's files go; None for MLflow's choice.
    """

    def __init__(self, uri: str, spec: StudySpec, identity: str, folder: Path, artifacts: str | None = None) -> None:
        self.uri, self.spec, self.identity, self.folder = uri, spec, identity, folder
        self._artifacts = artifacts
        self._client: MlflowClient | None = None
        self._experiment = ""
        self._parent = ""
        self._runs: dict[str, _Run] = {}

    @property
    def parent(self) -> str:
        """The id of the study's run; connects first where that is still to be done."""
        self._connected()
        return self._parent

    def begin(self, records: Iterable[Record]) -> None:
        """Say that the study runs, and end the runs that a killed driver left running."""
        client = self._connected()
        client.update_run(self._parent, status="RUNNING")
        self._end_orphans(client, list(records))

    def sync(self, record: Record) -> None:
        """Bring one trial's run up to its record: missing epochs, final values, state, pictures."""
        client = self._connected()
        run = self._run_of(client, record)
        self._log(client, run.id, values.epoch_metrics(record, run.epoch))
        run.epoch = max([run.epoch, *(report.epoch for report in record.history)])
        if record.state == "running" and not run.running:
            client.update_run(run.id, status="RUNNING")
            run.running, run.whole = True, ""
        if record.state in ("running", "waiting") or (run.whole == record.state and not run.running):
            return
        self._log(client, run.id, values.final_metrics(record))
        client.set_tag(run.id, "autorf.state", record.state)
        client.set_tag(run.id, "autorf.reason", (record.reason or "")[: values.LONGEST_VALUE])
        client.set_terminated(run.id, STATUS[record.state])
        run.running = False
        self._log_pictures(client, run, record)
        client.set_tag(run.id, "autorf.mirrored", record.state)
        run.whole = record.state

    def close(self, records: Iterable[Record]) -> None:
        """Bring every trial's run up to its record, keep the best trials' weights, and end what does not run."""
        rows, client = list(records), self._connected()
        # Other drivers of the study mirror their trials themselves.
        self._runs = self._stored_runs(client)
        for record in rows:
            if record.finished:
                self.sync(record)
        self._end_orphans(client, rows)
        self._keep_best(client, rows)
        if any(record.state == "running" for record in rows):
            # Another driver is at work on this study.
            return
        waiting = any(record.state == "waiting" for record in rows)
        client.set_terminated(self._parent, "KILLED" if waiting else "FINISHED")

    def _connected(self) -> "MlflowClient":
        if self._client is not None:
            return self._client
        client = connect(self.uri)
        self._experiment = self._experiment_of(client)
        self._runs = self._stored_runs(client)
        self._parent = self._parent_of(client)
        self._client = client
        return client

    def _stored_runs(self, client: "MlflowClient", more: str = "") -> dict[str, _Run]:
        runs: dict[str, _Run] = {}
        for stored in self._search(client, "trial", more):
            tags = stored.data.tags
            run = _Run(
                stored.info.run_id,
                int(stored.data.metrics.get("epoch", -1)),
                stored.info.status == "RUNNING",
                tags.get("autorf.mirrored", ""),
                "autorf.weights" in tags,
            )
            # Two drivers that began at once may both have made a run; the first one counts.
            runs.setdefault(tags["autorf.trial_key"], run)
        return runs

    def _experiment_of(self, client: "MlflowClient") -> str:
        from mlflow.exceptions import MlflowException

        experiment = client.get_experiment_by_name(self.spec.name)
        if experiment is None:
            try:
                return str(client.create_experiment(self.spec.name, self._artifacts, tags=values.EXPERIMENT_TAGS))
            except MlflowException:
                # Another driver was faster.
                experiment = client.get_experiment_by_name(self.spec.name)
                if experiment is None:
                    raise
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
        for name, value in values.EXPERIMENT_TAGS.items():
            if name not in experiment.tags:
                client.set_experiment_tag(experiment.experiment_id, name, value)
        return str(experiment.experiment_id)

    def _search(self, client: "MlflowClient", kind: str, more: str = "") -> "Iterable[Run]":
        condition = f"tags.`autorf.study_id` = '{self.identity}' and tags.`autorf.kind` = '{kind}'{more}"
        token: str | None = None
        while True:
            page = client.search_runs(
                [self._experiment],
                condition,
                max_results=_PAGE,
                order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _parent_of(self, client: "MlflowClient") -> str:
        stored = next(iter(self._search(client, "study")), None)
        if stored is not None:
            self._log_study(client, stored)
            return str(stored.info.run_id)
        tags = values.study_tags(self.spec, self.identity)
        created = str(client.create_run(self._experiment, run_name=self.spec.name, tags=tags).info.run_id)
        first = next(iter(self._search(client, "study")))
        if first.info.run_id != created:
            client.delete_run(created)
            return str(first.info.run_id)
        self._log_study(client, first)
        client.log_dict(created, json.loads(self.spec.model_dump_json()), "study.json")
        client.log_inputs(created, datasets=[values.data_set(self.spec)])
        return created

    def _log_study(self, client: "MlflowClient", run: "Run") -> None:
        """The study's parameters, those the run does not have: MLflow lets none change."""
        missing = [param for param in values.study_parameters(self.spec) if param.key not in run.data.params]
        for part in values.chunks(missing, 100):
            client.log_batch(run.info.run_id, params=part)

    def _run_of(self, client: "MlflowClient", record: Record) -> _Run:
        if record.key not in self._runs:
            self._runs |= self._stored_runs(client, f" and tags.`autorf.trial_key` = '{record.key}'")
        if record.key not in self._runs:
            tags = values.trial_tags(self.spec, self.identity, record, self._parent)
            created = client.create_run(self._experiment, run_name=record.label, tags=tags).info.run_id
            client.log_batch(created, params=values.parameters(record))
            client.log_inputs(created, datasets=[values.data_set(self.spec)])
            self._runs[record.key] = _Run(created)
        return self._runs[record.key]

    def _log(self, client: "MlflowClient", run: str, metrics: list[Any]) -> None:
        for part in values.chunks(metrics):
            client.log_batch(run, metrics=part)

    def _log_pictures(self, client: "MlflowClient", run: _Run, record: Record) -> None:
        folder = self._folder_of(record)
        if figure := trajectory(record):
            client.log_figure(run.id, figure, "figures/trajectory.svg")
        if record.state == "complete" and (folder / SIDECAR).is_file():
            client.log_artifact(run.id, str(folder / SIDECAR), "model")
        self._log_samples(client, run.id, folder, "sample", max(run.epoch, 0), every=2)

    def _end_orphans(self, client: "MlflowClient", records: Sequence[Record]) -> None:
        states = {record.key: record.state for record in records}
        for key, run in self._runs.items():
            if run.running and states.get(key) != "running":
                client.set_terminated(run.id, "KILLED")
                run.running = False

    def _keep_best(self, client: "MlflowClient", records: Sequence[Record]) -> None:
        """The parent's figures, and the weights of the trials that are best; nothing where it has them already."""
        search = self.spec.search
        tags = client.get_run(self._parent).data.tags
        groups = ranked(replicates(records, self.spec.data.model_dump(mode="json")), search)
        fingerprint = _fingerprint(records)
        if tags.get("autorf.mirrored") == fingerprint:
            return
        for kind in ("manual", "learned"):
            best = [group for group in groups if manual(group[0]) == (kind == "manual")]
            if not best:
                continue
            client.set_tag(self._parent, f"autorf.best_{kind}", best[0][0].key)
            mean = sum(score(record, search) for record in best[0]) / len(best[0])
            best_mean = {f"best_{kind}_{objective(search)}": mean}
            self._log(client, self._parent, values.metrics(best_mean, len(records)))
            kept = [trial for group in best for record in group for trial in trials_of(record)]
            for trial in kept[: self.spec.tracking.keep]:
                self._keep_weights(client, trial)
        self._log(client, self._parent, values.line_metrics(records, self.spec, self.folder))
        if figure := trajectories(records):
            client.log_figure(self._parent, figure, "figures/trajectories.svg")
        if groups and tags.get("autorf.best_trial_key") != groups[0][0].key:
            self._keep_winner(client, groups[0][0], len(records))
        self._keep_recommendation(client, records)
        client.set_tag(self._parent, "autorf.mirrored", fingerprint)

    def _keep_recommendation(self, client: "MlflowClient", records: Sequence[Record]) -> None:
        """What the comparison recommends, on the parent: in words, the field, and the trials that have it."""
        advice = recommended(self.spec, self.folder, records)
        for name, text in advice.tags.items():
            client.set_tag(self._parent, name, text[: values.LONGEST_VALUE])
        self._log(client, self._parent, values.metrics(advice.fields, len(records)))

    def _keep_weights(self, client: "MlflowClient", record: Record) -> None:
        run, path = self._runs[record.key], self._folder_of(record) / WEIGHTS
        if not run.kept and path.is_file():
            client.log_artifact(run.id, str(path), "model")
            client.set_tag(run.id, "autorf.weights", "model")
            run.kept = True

    def _keep_winner(self, client: "MlflowClient", record: Record, step: int) -> None:
        folder = self._folder_of(record)
        files = (WEIGHTS, SIDECAR) if self.spec.tracking.keep else (SIDECAR,)
        # No one model of a replicate is the winner: its folds' are as good, each on its own images.
        for name in () if isinstance(record, Replicate) else files:
            if (folder / name).is_file():
                client.log_artifact(self._parent, str(folder / name), "best")
        self._log_samples(client, self._parent, folder, "best sample", step)
        best = {f"best_{objective(self.spec.search)}": score(record, self.spec.search)}
        self._log(client, self._parent, values.metrics(best, step))
        client.set_tag(self._parent, "autorf.best_trial_key", record.key)

    def _log_samples(
        self, client: "MlflowClient", run: str, folder: Path, name: str, step: int, every: int = 1
    ) -> None:
        evidence = read_evidence(folder)
        strips = sample_strips(evidence) if evidence else []
        for index, strip in list(enumerate(strips))[::every]:
            client.log_image(run, strip, key=f"{name} {index}", step=step)

    def _folder_of(self, record: Record) -> Path:
        return self.folder / "trials" / record.key


def _fingerprint(records: Sequence[Record]) -> str:
    """Of what the parent's figures depend on."""
    states = [(record.key, record.state, record.row) for record in records]
    return hashlib.sha256(repr(states).encode()).hexdigest()[:12]
