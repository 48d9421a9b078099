"""What runs on a node: one trial, with its files brought there and back where the node does not see the study."""

import json
import os
import shutil
import tempfile
import traceback
from pathlib import Path
from typing import Any

from autorf.files import write_atomically
from autorf.study.executors.base import Job, RunTrial
from autorf.study.executors.local import default_runner, failure_reason
from autorf.study.spec import StudySpec

SHIPPED = 512 * 2**20
"""Bytes a file may have to be shipped through Ray's object store."""


def config_of(job: Job) -> dict[str, Any]:
    """A job as plain values, for Tune."""
    return {
        "row": job.row,
        "key": job.key,
        "configuration": job.configuration,
        "seed": job.seed,
        "spec": job.spec.model_dump(mode="json"),
        "folder": str(job.folder.resolve()),
        "rungs": list(job.rungs),
        "reached": job.reached,
        "started_in": str(Path.cwd()),
    }


def _job_from(config: dict[str, Any], folder: Path) -> Job:
    spec = StudySpec.model_validate(config["spec"])
    rungs = tuple(config["rungs"])
    return Job(
        config["row"], config["key"], config["configuration"], config["seed"], spec, folder, rungs, config["reached"]
    )


class Depot:
    """An actor on the driver's node: reads and writes the files of trials for nodes that do not see the folder.

    Args:
        folder: of the study; nothing outside it is touched.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def start(folder: Path) -> Any:
        """The handle of a depot on this node."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        return ray.remote(num_cpus=0)(Depot).options(scheduling_strategy=here).remote(folder)

    def fetch(self, key: str) -> dict[str, bytes]:
        """The files of a trial."""
        folder = self._folder / "trials" / key
        return {path.name: path.read_bytes() for path in folder.glob("[!.]*") if path.is_file()}

    def store(self, key: str, files: dict[str, bytes]) -> None:
        """Write files of a trial, each whole."""
        for name, content in files.items():
            write_atomically(self._folder / "trials" / key / Path(name).name, content)


def make_trainable(run_trial: RunTrial | None, depot: Any, probe: Path | None, resources: dict[str, float]) -> Any:
    """The function that Tune runs for every trial.

    Args:
        run_trial: what runs a trial; None for :func:`autorf.study.runner.run`.
        depot: where files are fetched from and brought back to, or None when all nodes see the study's folder.
        probe: a file that only nodes which see the folder find; None when files are always shipped.
        resources: of one trial.
    """
    from ray import tune

    def trial(config: dict[str, Any]) -> None:
        sees = depot is None or (probe is not None and probe.exists())
        if Path(config["started_in"]).is_dir():
            # Paths in a study file are relative to where the search was started.
            os.chdir(config["started_in"])
        if sees:
            _run(_job_from(config, Path(config["folder"])), run_trial, None)
            return
        away = Path(tempfile.mkdtemp(prefix="autorf-trial-"))
        try:
            _run(_job_from(config, away), run_trial, depot)
        finally:
            shutil.rmtree(away, ignore_errors=True)

    return tune.with_resources(trial, {name.lower(): amount for name, amount in resources.items()})


class _Link:
    """What a running trial says and hears; files go home before what they hold is said."""

    def __init__(self, job: Job, depot: Any) -> None:
        self._job, self._depot = job, depot
        self._held: list[dict[str, Any]] = []
        self._sent: dict[str, tuple[int, int]] = {}
        if depot is not None:
            import ray

            for name, content in ray.get(depot.fetch.remote(job.key)).items():
                (job.folder / name).write_bytes(content)
            self._changed()

    def report(self, epoch: dict[str, Any]) -> None:
        self._held.append(epoch)

    def stopped(self) -> bool:
        self._flush()
        # A trial that is stopped never returns from the report.
        return False

    def end(self, kind: str, payload: dict[str, Any]) -> None:
        self._flush()
        _tell(kind, payload)

    def _flush(self) -> None:
        if self._depot is not None:
            import ray

            changed = self._changed()
            if changed:
                ray.get(self._depot.store.remote(self._job.key, changed))
        for epoch in self._held:
            _tell("epoch", epoch)
        self._held.clear()

    def _changed(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for path in sorted(self._job.folder.glob("[!.]*")):
            state = (path.stat().st_mtime_ns, path.stat().st_size)
            if path.is_file() and self._sent.get(path.name) != state and state[1] <= SHIPPED:
                found[path.name] = path.read_bytes()
                self._sent[path.name] = state
        return found


def _run(job: Job, run_trial: RunTrial | None, depot: Any) -> None:
    link = _Link(job, depot)
    try:
        result = (run_trial or default_runner())(job, link.report, link.stopped)
    except Exception as error:
        link.end("failed", {"reason": failure_reason(error), "traceback": traceback.format_exc()})
    else:
        link.end("done", result)


def _tell(kind: str, payload: dict[str, Any]) -> None:
    import ray

    said = {"kind": kind, "payload": payload, "node": ray.get_runtime_context().get_node_id()}
    # As text, for Tune flattens what is nested.
    ray.tune.report({"said": json.dumps(said)})
