"""Trials on a Ray cluster, scheduled by Ray Tune.

Ray is told what to run; the study's own storage says what is done. So Tune searches nothing (its searcher hands over
the jobs that were submitted), decides nothing (its scheduler stops what the search stopped; its own ASHA cannot promote
a trial that it stopped), repeats nothing (a trial whose worker or node died is reported, and the search enqueues its
next attempt), and keeps nothing.
"""

import threading
from pathlib import Path

from autorf.errors import InputError
from autorf.executors.base import Event, RunTrial
from autorf.executors.ray_cluster import Cluster
from autorf.executors.ray_files import TrialFileServer
from autorf.executors.ray_tune import TuneBridge, run_tune
from autorf.executors.ray_worker import config_of, make_trainable
from autorf.executors.scratch import Scratch
from autorf.study.executor_spec import ExecutorSpec
from autorf.study.job import Job


class RayExecutor:
    """Runs each job as a Tune trial with the CPUs and GPUs the study asks for.

    Args:
        spec: resources of a trial, address of the cluster, how many trials at once.
        threads: CPU threads of a trial, which it gets as many CPUs for unless told otherwise.
        folder: of the study; Tune's own files lie in it while the search runs.
        jobs: how many there are at most, where that is known.
        run_trial: what runs a trial; None for :func:`autorf.running.runner.run`.
        always_ship: ship files even to nodes that see the study's folder.

    Raises:
        InputError: when nobody answers at the address, or no node can hold a trial.
    """

    def __init__(
        self,
        spec: ExecutorSpec,
        threads: int,
        folder: Path,
        jobs: int | None,
        run_trial: RunTrial | None = None,
        *,
        always_ship: bool = False,
    ) -> None:
        self._cluster = Cluster(spec, threads)
        self.capacity = min(self._cluster.capacity, jobs or self._cluster.capacity)
        self._bridge = TuneBridge()
        self._scratch = Scratch(folder, ".ray-")
        file_server = None if self._cluster.ours else TrialFileServer.start(folder.resolve())
        probe = None if always_ship else self._scratch.path / "probe"
        if probe is not None:
            probe.touch()
        trainable = make_trainable(run_trial, file_server, probe, self._cluster.trial)
        # An actor whose trial was stopped among its processes never begins another.
        reuse = self._cluster.trial.number == 1
        self._thread = threading.Thread(
            target=run_tune, args=(trainable, self._bridge, self._scratch.path, self.capacity, reuse), daemon=True
        )
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Hand ``job`` to Tune."""
        self._bridge.waiting.append(config_of(job))

    def stop(self, row: int) -> None:
        """Have Tune's scheduler stop the trial at its next result, which follows a checkpoint."""
        self._bridge.stopping.add(row)
        self._bridge.let_go(row)

    def cancel(self, row: int) -> None:
        """Stop the trial at its next result and hear no more of it."""
        self._bridge.cancelled.add(row)
        self.stop(row)

    def wait(self, timeout: float) -> list[Event]:
        """Events since the last call.

        Raises:
            InputError: when Ray is gone.
        """
        events = self._bridge.wait(timeout)
        if not events and not (self._thread.is_alive() and self._cluster.is_there()):
            raise InputError(f"Ray ended: {self._bridge.problem or 'its node is gone'}; the same command continues")
        return events

    def close(self) -> None:
        """Stop every trial and leave the cluster; a local one ends."""
        self._bridge.close()
        self._thread.join(15)
        self._cluster.leave()
        self._scratch.remove()
