"""What Ray Tune is told: a searcher, a scheduler and a callback that pass the search's decisions on."""

import json
import queue
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import ray
from ray.tune import Callback, FailureConfig, RunConfig, TuneConfig, Tuner
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from autorf.executors.base import Event, Failure, Kind, Payload, payload_from
from autorf.executors.ray_cluster import answers
from autorf.training.results import EpochReport

RUNG_SECONDS = 300.0
"""How long a trial waits at a rung for the search's word; a search that waits for its storage may be silent."""

NEXT_SECONDS = 5.0
"""How long Tune waits, when a trial is over, for the job that follows it. Tune keeps one idle actor: of two trials that
end together with nothing to run next, one would lose its process, and a new one imports for seconds."""

IDLE_SECONDS = 60.0
"""How long Tune is kept waiting for the next job when it has none."""


class TuneBridge:
    """Between the search's thread and Tune's."""

    def __init__(self) -> None:
        self.waiting: deque[dict[str, Any]] = deque()
        self.events: queue.Queue[Event] = queue.Queue()
        self.stopping: set[int] = set()
        self.cancelled: set[int] = set()
        self.closed = False
        self.problem: str | None = None
        self._held: dict[int, tuple[int | None, threading.Event]] = {}
        self._handed_over: list[tuple[int, int | None]] = []
        self._last: dict[int, EpochReport] = {}
        self._nodes: dict[int, set[str]] = {}
        self._ended: set[int] = set()

    def __deepcopy__(self, memo: dict[int, Any]) -> "TuneBridge":
        # Tune copies its settings; both copies must speak to the same search.
        return self

    def __reduce__(self) -> Any:
        # Tune saves its settings for a restore that never comes.
        return TuneBridge, ()

    def hear(self, config: dict[str, Any], result: dict[str, Any]) -> None:
        """Pass a trial's result on; at a rung, wait for the search's word on it, and at its end for the next job."""
        row = int(config["row"])
        if "said" not in result or row in self._ended:
            return
        message = json.loads(result["said"])
        self._nodes[row] = {message["node"]}
        payload = payload_from(message["kind"], message["payload"])
        if not isinstance(payload, EpochReport):
            self._say(row, message["kind"], payload, NEXT_SECONDS)
            return
        self._last[row] = payload
        at_rung = payload.epoch + 1 in config["rungs"]
        self._say(row, "epoch", payload, RUNG_SECONDS if at_rung else 0.0)

    def begin(self, config: dict[str, Any]) -> None:
        """Note where a trial may run that Tune is given now: until it says so, on any node that is there."""
        self._nodes[int(config["row"])] = {node["NodeID"] for node in ray.nodes() if node["Alive"]}

    def nodes_of(self, config: dict[str, Any]) -> set[str]:
        """The node that a trial was last heard from; before that, those it may have begun on."""
        return self._nodes.get(int(config["row"]), set())

    def wait(self, timeout: float) -> list[Event]:
        """Events since the last call; whoever waits since one of those given out then goes on, if not stopped."""
        for row, epoch in self._handed_over:
            self.let_go(row, epoch)
        events: list[Event] = []
        try:
            events.append(self.events.get(timeout=max(0.0, timeout)))
            while True:
                events.append(self.events.get_nowait())
        except queue.Empty:
            pass
        self._handed_over = [(event.row, _epoch_of(event)) for event in events]
        return [event for event in events if event.row not in self.cancelled]

    def end(self, config: dict[str, Any], death: Failure | None = None) -> None:
        """Note that Tune's trial is over, by ``death`` or because it was stopped; nothing if it said so itself."""
        row = int(config["row"])
        if row in self._ended:
            return
        if death is not None:
            self._say(row, "failed", death)
        elif last := self._last.get(row):
            self._say(row, "pruned", last.as_result(), NEXT_SECONDS)
        else:
            self._say(row, "failed", Failure("Ray ended the trial before its first epoch", crashed=True))

    def _say(self, row: int, kind: Kind, payload: Payload, seconds: float = 0.0) -> None:
        """Tell the search, and wait as long until it has done what follows from it."""
        if kind != "epoch":
            self._ended.add(row)
        event, held = Event(row, kind, payload), threading.Event()
        waits = seconds > 0 and not self.closed
        if waits:
            self._held[row] = (_epoch_of(event), held)
        self.events.put(event)
        if waits:
            held.wait(seconds)

    def let_go(self, row: int, epoch: int | None = None) -> None:
        """Let the trial of that row go on, or stop, if it waits: at the rung after ``epoch``, where given."""
        at, held = self._held.get(row, (None, None))
        if held is not None and epoch in (None, at):
            del self._held[row]
            held.set()

    def let_all_go(self) -> None:
        """Let every trial go on."""
        for row in list(self._held):
            self.let_go(row)

    def close(self) -> None:
        """End the run."""
        self.closed = True
        self.let_all_go()


def _epoch_of(event: Event) -> int | None:
    return event.payload.epoch if isinstance(event.payload, EpochReport) else None


def run_tune(trainable: Any, bridge: TuneBridge, folder: Path, at_once: int, reuse: bool) -> None:
    """Run Tune until the bridge is closed."""
    try:
        Tuner(
            trainable,
            tune_config=TuneConfig(
                search_alg=_Submitted(bridge),
                scheduler=_StopScheduler(bridge),
                num_samples=-1,
                max_concurrent_trials=at_once,
                reuse_actors=reuse,
            ),
            run_config=RunConfig(
                name="tune",
                storage_path=str(folder),
                callbacks=[_Ends(bridge)],
                stop=_Closed(bridge),
                # The store counts attempts and decides about the next one.
                failure_config=FailureConfig(max_failures=0),
                verbose=0,
            ),
        ).fit()
    except Exception as error:
        # A remote error's text is a traceback, of which the last line says what happened.
        bridge.problem = [type(error).__name__, *str(error).strip().splitlines()][-1]


class _Submitted(Searcher):
    """Suggests the jobs that were submitted, in their order."""

    def __init__(self, bridge: TuneBridge) -> None:
        super().__init__(metric="miou", mode="max")
        self._bridge = bridge
        self._live: set[str] = set()

    def suggest(self, trial_id: str) -> Any:
        # Without a trial to look after, Tune would sleep a second before it asks again.
        until = time.monotonic() + (0.0 if self._live else IDLE_SECONDS)
        while not self._bridge.closed:
            if self._bridge.waiting:
                self._live.add(trial_id)
                config = self._bridge.waiting.popleft()
                self._bridge.begin(config)
                return config
            if time.monotonic() >= until:
                return None
            time.sleep(0.02)
        return Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Nothing is learned here."""
        self._live.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing is kept here."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing is kept here."""


class _StopScheduler(FIFOScheduler):
    """Passes results on, and stops the trials that the search stopped."""

    def __init__(self, bridge: TuneBridge) -> None:
        super().__init__()
        self._bridge = bridge

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        self._bridge.hear(trial.config, result)
        stopped = int(trial.config["row"]) in self._bridge.stopping
        return str(TrialScheduler.STOP if stopped else TrialScheduler.CONTINUE)


class _Ends(Callback):
    """Turns the ends of Tune's trials into the search's events."""

    def __init__(self, bridge: TuneBridge) -> None:
        self._bridge = bridge

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._bridge.end(trial.config)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._bridge.end(trial.config, _death(trial, self._bridge.nodes_of(trial.config)))


def _death(trial: Any, nodes: set[str]) -> Failure:
    """What is known of the end of a trial whose process is gone, and which was on one of ``nodes``."""
    # Tune's own getters read the trial's storage, which the file has not reached yet.
    text = Path(trial.error_file).read_text(errors="replace") if trial.error_file else ""
    if "OutOfMemoryError" in text:
        return Failure("out of memory: Ray killed the worker to keep its node alive", crashed=True)
    if _any_has_died(nodes):
        return Failure("its node died or left the cluster", crashed=True, lost_node=True)
    if "ControllerError" in text:
        # Ray Train could not begin; its last line says why.
        return Failure(text.strip().splitlines()[-1], crashed=True)
    return Failure("the worker process died: most often it was killed for want of memory", crashed=True)


def _any_has_died(nodes: set[str]) -> bool:
    """Whether one of the nodes is dead; Ray itself finds out only half a minute later."""
    return any(not (node["Alive"] and answers(node)) for node in ray.nodes() if node["NodeID"] in nodes)


class _Closed(Stopper):
    """Stops everything once the bridge is closed."""

    def __init__(self, bridge: TuneBridge) -> None:
        self._bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._bridge.closed
