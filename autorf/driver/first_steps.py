"""Whether a search can take its first step: asked of every kind of configuration before the first trial begins."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from autorf import interruption
from autorf.driver.plan import StudyPlan
from autorf.errors import InputError
from autorf.executors import Event, Executor, Failure
from autorf.executors.base import ended
from autorf.store.record import Record
from autorf.study.job import Job
from autorf.study.settings import thawed
from autorf.study.spec import StudySpec
from autorf.study.storage_spec import StorageSpec
from autorf.study.trial import Trial, key_of

NOTE = "first_steps"
"""Under which a store keeps the kinds whose first step was taken."""

_TRAINING = ("training.batch_", "training.loss")
"""Of the training, what its first step depends on."""

POLL_SECONDS = 1.0
ATTEMPTS = 2
"""A worker that dies so often in its first step has not died by chance."""


def kind_of(trial: Trial) -> str:
    """Trials of one kind take the same first step: they have one method, network, image size, batch size and loss."""
    settings = {name: thawed(value) for name, value in trial.settings if name.startswith(_TRAINING)}
    return key_of({"method": trial.method.method, **dict(trial.network), **settings}, 0)


def untried(planned: StudyPlan, records: Sequence[Record], tried: Collection[str]) -> dict[str, Trial]:
    """By kind, the first of those trials still to run whose first step nobody has taken.

    Args:
        planned: the study's plan.
        records: its trials so far.
        tried: the kinds that the store remembers.
    """
    finished = {record.trial for record in records if record.finished}
    waiting = [trial for trial in planned.trials if trial not in finished]
    waiting += [record.trial for record in records if not record.finished and record.trial is not None]
    if planned.spaces and not records:
        waiting += planned.examples
    begun = {kind_of(record.trial) for record in records if record.trial is not None and record.history}
    kinds = {kind_of(trial): trial for trial in reversed(waiting) if trial.method.trained}
    return {kind: trial for kind, trial in reversed(kinds.items()) if kind not in begun and kind not in tried}


def take_first_steps(
    spec: StudySpec, source: str, folder: Path, trials: Mapping[str, Trial], executor: Executor
) -> list[str]:
    """Take the first step of every trial where trials run, as many at once as the executor runs; returns the kinds.

    Args:
        spec: the study, its training counted.
        source: where it was read from, for messages.
        folder: of the study, in which nothing is written.
        trials: one of each kind.
        executor: that will run the trials.

    Raises:
        InputError: naming the trial and the reason, when a step fails.
        KeyboardInterrupt: on Ctrl-C.
    """
    # Rows of a store begin at 0.
    rows = {-1 - index: trial for index, trial in enumerate(trials.values())}
    jobs = {row: _job(spec, folder, row, trial) for row, trial in rows.items()}
    waiting, running, deaths = list(jobs), set[int](), dict.fromkeys(jobs, 0)
    with interruption.kept():
        while waiting or running:
            interruption.check()
            while waiting and len(running) < executor.capacity:
                running.add(waiting[0])
                executor.submit(jobs[waiting.pop(0)])
            for event in _ends(executor.wait(POLL_SECONDS), running):
                running.discard(event.row)
                if not isinstance(event.payload, Failure):
                    continue
                deaths[event.row] += 1
                if not event.payload.crashed or deaths[event.row] >= ATTEMPTS:
                    raise InputError(f"{source}: {_words(rows[event.row], event.payload)}")
                waiting.append(event.row)
    return list(trials)


def _job(spec: StudySpec, folder: Path, row: int, trial: Trial) -> Job:
    # Workers have no business with the storage, and its password none with them.
    workers_spec = spec.model_copy(update={"storage": StorageSpec()})
    key = f"first-step{row}"
    where = folder / "trials" / key
    return Job(row, key, trial.configuration, trial.seed, workers_spec, where, first_step=True)


def _ends(events: Iterable[Event], running: Collection[int]) -> Iterator[Event]:
    return (event for event in events if event.row in running and ended(event))


def _words(trial: Trial, failure: Failure) -> str:
    reason = failure.reason
    return reason if reason.startswith(trial.label) else f"{trial.label}: the first step failed: {reason}"
