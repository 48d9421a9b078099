"""What runs on a node: one trial, with its files brought there and back where the node does not see the study."""

import json
import os
import tempfile
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from autorf.data.cache_place import node_cache
from autorf.executors.base import Failure, Kind, Payload, RunTrial
from autorf.executors.local import default_runner, failure_reason
from autorf.executors.processes import Processes
from autorf.executors.ray_files import TrialFileTransfer
from autorf.executors.scratch import Scratch
from autorf.own_code.code import OwnCode
from autorf.study.job import Job
from autorf.study.own_loop import study_class
from autorf.training.results import EpochReport

Say = Callable[[Kind, Payload], bool]


def config_of(job: Job) -> dict[str, Any]:
    """A job as plain values, for Tune."""
    return {
        "row": job.row,
        "key": job.key,
        "configuration": job.configuration,
        "seed": job.seed,
        "spec": job.spec.model_dump(mode="json"),
        "n_train": job.spec.n_train,
        "code": None if job.spec.code is None else job.spec.code.to_json(),
        "folder": str(job.folder.resolve()),
        "cache": None if job.spec.cache is None else str(job.spec.cache),
        "rungs": list(job.rungs),
        "reached": job.reached,
        "reported": list(job.reported),
        "first_step": job.first_step,
        "started_in": str(Path.cwd()),
    }


def _job_from(config: dict[str, Any], folder: Path, cache: Path | None = None) -> Job:
    code = None if config["code"] is None else OwnCode.from_json(config["code"])
    kind = study_class(config["spec"])
    spec = kind.model_validate(config["spec"]).with_n_train(config["n_train"]).with_code(code).with_cache(cache)
    rungs = tuple(config["rungs"])
    own = config["row"], config["key"], config["configuration"], config["seed"]
    reported = tuple(config["reported"])
    return Job(*own, spec, folder, rungs, config["reached"], reported, first_step=config["first_step"])


def make_trainable(run_trial: RunTrial | None, file_server: Any, probe: Path | None, processes: Processes) -> Any:
    """The function that Tune runs for every trial.

    Args:
        run_trial: what runs a trial; None for :func:`autorf.running.runner.run`.
        file_server: where files are fetched from and brought back to, or None when all nodes see the study's folder.
        probe: a file that only nodes which see the folder find; None when files are always shipped.
        processes: of one trial.
    """
    from ray import tune

    def process(config: dict[str, Any], mailbox: Any = None) -> None:
        cache = None if config["cache"] is None else Path(config["cache"])
        sees = file_server is None or (probe is not None and probe.exists())
        if Path(config["started_in"]).is_dir():
            # Paths in a study file are relative to where the search was started.
            os.chdir(config["started_in"])
        if sees:
            _run(_job_from(config, Path(config["folder"]), cache), run_trial, None, mailbox)
            return
        # The trial's folder goes with it, and the next trial wants the pictures again.
        cache = None if cache is None else node_cache()
        away = Scratch(Path(tempfile.gettempdir()), "autorf-trial-")
        try:
            _run(_job_from(config, away.path, cache), run_trial, file_server, mailbox)
        finally:
            away.remove()

    def together(config: dict[str, Any]) -> None:
        from autorf.executors.ray_parallel import run_processes

        run_processes(process, config, processes, partial(_tell, known_node=False))

    if processes.number == 1:
        return tune.with_resources(process, {name.lower(): amount for name, amount in processes.resources.items()})
    # Ray Train asks for the processes' resources; the trial itself only listens.
    return tune.with_resources(together, {"memory": 1})


class _Link:
    """What a running trial says and hears; files go home before what they hold is said.

    Args:
        job: the trial.
        file_server: where its files come from and go to, or None.
        say: passes ``(kind, payload)`` on, and returns whether to stop.
    """

    def __init__(self, job: Job, file_server: Any, say: Say) -> None:
        self._say = say
        self._held: list[EpochReport] = []
        self._stopping = False
        self._transfer = None if file_server is None else TrialFileTransfer(file_server, job.key, job.folder)
        if self._transfer is not None:
            self._transfer.fetch()

    def report(self, epoch: EpochReport) -> None:
        self._held.append(epoch)

    def stopped(self) -> bool:
        self._flush()
        return self._stopping

    def end(self, kind: Kind, payload: Payload) -> None:
        self._flush()
        self._say(kind, payload)

    def _flush(self) -> None:
        if self._transfer is not None:
            self._transfer.send()
        for epoch in self._held:
            self._stopping |= self._say("epoch", epoch)
        self._held.clear()


def _run(job: Job, run_trial: RunTrial | None, file_server: Any, mailbox: Any) -> None:
    if mailbox is not None:
        _run_process(job, run_trial, file_server, mailbox)
        return
    link = _Link(job, file_server, _tell)
    try:
        result = (run_trial or default_runner())(job, link.report, link.stopped)
    except Exception as error:
        link.end("failed", Failure(failure_reason(error), traceback.format_exc()))
    else:
        link.end("done", result)


def _run_process(job: Job, run_trial: RunTrial | None, file_server: Any, mailbox: Any) -> None:
    """Run one of the processes of a trial; the first one says what all have come to."""
    import ray

    from autorf.executors.ray_parallel import lightning_settings, lost_another
    from autorf.training.parallel import own_shard

    def say(kind: Kind, payload: Payload) -> bool:
        return bool(ray.get(mailbox.say.remote((kind, payload))))

    link = _Link(job, file_server, say)
    try:
        run = run_trial or partial(default_runner(), processes=lightning_settings())  # type: ignore[call-arg]
        result = run(job, link.report, link.stopped)
    except Exception as error:
        failure = Failure(failure_reason(error), traceback.format_exc())
        ray.get(mailbox.fail.remote(failure, lost_another(error)))
        raise
    if own_shard().first:
        link.end("done", result)


def _tell(kind: Kind, payload: Payload, *, known_node: bool = True) -> bool:
    """Report to Tune; a trial that is stopped never returns from that."""
    import ray

    node = ray.get_runtime_context().get_node_id() if known_node else None
    # As text, for Tune flattens what is nested.
    ray.tune.report({"said": json.dumps({"kind": kind, "payload": payload.to_json(), "node": node})})
    return False
