"""What Ray Tune is told: a searcher, a scheduler and a callback that pass the search's decisions on."""

import queue
import threading
from collections import deque
from pathlib import Path
from typing import Any

from ray.tune import Callback, FailureConfig, RunConfig, TuneConfig, Tuner
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from autorf.study.executors.base import Event

RUNG_SECONDS = 300.0
"""How long a trial waits at a rung for the search's word; a search that waits for its storage may be silent."""


class Relay:
    """Between the search's thread and Tune's."""

    def __init__(self) -> None:
        self.waiting: deque[dict[str, Any]] = deque()
        self.events: queue.Queue[Event] = queue.Queue()
        self.stopping: set[int] = set()
        self.cancelled: set[int] = set()
        self.closed = False
        self.problem: str | None = None
        self._at_rung: dict[int, threading.Event] = {}

    def hold(self, row: int) -> threading.Event:
        """What a trial at a rung waits for."""
        return self._at_rung.setdefault(row, threading.Event())

    def let_go(self, row: int) -> None:
        """Let the trial of that row go on, or stop."""
        held = self._at_rung.pop(row, None)
        if held is not None:
            held.set()

    def let_all_go(self) -> None:
        """Let every trial go on."""
        for row in list(self._at_rung):
            self.let_go(row)

    def close(self) -> None:
        """End the run."""
        self.closed = True
        self.let_all_go()


def run_tune(trainable: Any, relay: Relay, folder: Path, at_once: int) -> None:
    """Run Tune until the relay is closed."""
    try:
        Tuner(
            trainable,
            tune_config=TuneConfig(
                search_alg=_Submitted(relay),
                scheduler=_Told(relay),
                num_samples=-1,
                max_concurrent_trials=at_once,
                reuse_actors=True,
            ),
            run_config=RunConfig(
                name="tune",
                storage_path=str(folder),
                callbacks=[_Forward(relay)],
                stop=_Closed(relay),
                # The store counts attempts and decides about the next one.
                failure_config=FailureConfig(max_failures=0),
                verbose=0,
            ),
        ).fit()
    except Exception as error:
        relay.problem = next(iter(str(error).strip().splitlines()), type(error).__name__)


class _Submitted(Searcher):
    """Suggests the jobs that were submitted, in their order."""

    def __init__(self, relay: Relay) -> None:
        super().__init__(metric="miou", mode="max")
        self._relay = relay

    def suggest(self, trial_id: str) -> Any:
        if self._relay.closed:
            return Searcher.FINISHED
        try:
            return self._relay.waiting.popleft()
        except IndexError:
            return None

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Nothing is learned here."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing is kept here."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing is kept here."""


class _Told(FIFOScheduler):
    """Stops the trials that the search stopped; at a rung it waits for the search's word."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        row = int(trial.config["row"])
        said = result.get("said", {})
        if said.get("kind") == "epoch" and said["payload"]["epoch"] + 1 in trial.config["rungs"]:
            self._relay.hold(row).wait(RUNG_SECONDS)
        return str(TrialScheduler.STOP if row in self._relay.stopping else TrialScheduler.CONTINUE)


class _Forward(Callback):
    """Turns Tune's results into the search's events."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._last: dict[int, dict[str, Any]] = {}
        self._ended: set[int] = set()

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:
        row, said = int(trial.config["row"]), result.get("said")
        if not said or row in self._ended:
            return
        if said["kind"] == "epoch":
            self._last[row] = said["payload"]
            if said["payload"]["epoch"] + 1 in trial.config["rungs"]:
                self._relay.hold(row)
        self._say(row, said["kind"], said["payload"])

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        row = int(trial.config["row"])
        if row in self._ended:
            return
        last = self._last.get(row)
        if last is None:
            self._say(row, "failed", {"reason": "Ray ended the trial before its first epoch", "crashed": True})
        else:
            reached = {"epochs": last["epoch"] + 1, "train_seconds": last.get("seconds"), "split": "val"}
            self._say(row, "pruned", {**last, **reached})

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        row = int(trial.config["row"])
        if row not in self._ended:
            self._say(row, "failed", {"crashed": True, **_death(trial)})

    def _say(self, row: int, kind: Any, payload: dict[str, Any]) -> None:
        if kind != "epoch":
            self._ended.add(row)
        self._relay.events.put(Event(row, kind, payload))


def _death(trial: Any) -> dict[str, Any]:
    """What is known of the end of a trial whose process is gone."""
    error = trial.get_pickled_error() or trial.get_error()
    text = str(error)
    node = getattr(trial, "node_ip", None) or "its node"
    if "node" in text.lower() and ("died" in text.lower() or "dead" in text.lower()) and "OOM" not in text:
        return {"reason": f"{node} died or left the cluster", "lost_node": True}
    if "OOM" in text or "out of memory" in text.lower():
        return {"reason": "out of memory: Ray killed the worker to keep its node alive"}
    line = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    return {"reason": f"the worker process died: {line.strip()[:200]}"}


class _Closed(Stopper):
    """Stops everything once the relay is closed."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._relay.closed
