"""Train what a study recommends, its field fixed, and leave a folder that others can load."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from autorf.comparison import compare_studies, results_of
from autorf.data import Splits, load
from autorf.data.cache_place import cache_folder
from autorf.data.fold_spec import folds_of
from autorf.deployment.found_field import with_found_field
from autorf.deployment.measuring import measured
from autorf.deployment.model_card import Card, write_card
from autorf.deployment.plain_loading import write_plain
from autorf.deployment.recipe import Recipe
from autorf.deployment.study_code import with_code_of
from autorf.driver.kept_trainings import KeptTrainings, held, result_of
from autorf.driver.loop import TrialLoop
from autorf.driver.progress import open_progress
from autorf.driver.search import check_writable
from autorf.errors import InputError
from autorf.executors import make_local
from autorf.files import write_atomically
from autorf.own_code.importing import importable
from autorf.running.evidence import Evidence, read_evidence, write_evidence
from autorf.specification import parse
from autorf.store.images import same_images
from autorf.store.ranking import objective, trial_named, winner
from autorf.store.record import Record
from autorf.store.replicates import Replicate, replicates, trials_of
from autorf.store.store import Store, open_store
from autorf.study.job import Job
from autorf.study.objectives import sign
from autorf.study.own_loop import is_own_loop
from autorf.study.spec import StudySpec, counted
from autorf.study.storage_spec import StorageSpec
from autorf.study.trial import trial_from
from autorf.surgery.storage import SIDECAR, WEIGHTS
from autorf.training.resuming import clear_checkpoints

RETRAINED = "retrained"
"""The folder in a study's folder that holds one folder a retrained trial."""

_REQUEST = "request.json"


@dataclass(frozen=True)
class Options:
    """What may differ from the trial as it was searched.

    Attributes:
        trial: the beginning of a trial's key; None for the recommended one, see :func:`chosen_trial`.
        epochs: None for those of the trial.
        seeds: None for the trial's own; the model that is best on the validation split is kept for use, or the first
            one's where there is none, as of data in folds.
        with_val: train on the validation images too.
        search_again: learn the field anew, instead of fixing the one that was found.
        best: without ``trial``, take the highest score instead of the recommended field.
    """

    trial: str | None = None
    epochs: int | None = None
    seeds: tuple[int, ...] | None = None
    with_val: bool = False
    search_again: bool = False
    best: bool = False


@dataclass(frozen=True)
class Outcome:
    """A finished retrain: its folder, how to load it, and its figures; or why it failed.

    ``note`` says why the field that was found was not fixed, where it was not.
    """

    folder: Path
    card: Card | None = None
    reason: str | None = None
    note: str | None = None


def study_spec(store: Store) -> StudySpec:
    """The study file as it was when the study began.

    Raises:
        InputError: for a study whose trainings were recorded, or are a function of the user's own.
    """
    if "model" not in (store.spec or {"model": None}):
        raise InputError(
            f"study {store.name!r} was recorded from trainings elsewhere, so its models are there; it can be compared "
            "and reported"
        )
    if is_own_loop(stored := store.spec or {}):
        raise InputError(
            f"study {store.name!r} was trained by your own function {stored['loop']}, which alone knows data and "
            "model; train what autorf compare recommends in your loop, then autorf.freeze(model) and "
            "autorf.save(model, FOLDER)"
        )
    return parse(StudySpec, store.spec or {}, f"study {store.name}")


def chosen_trial(store: Store, spec: StudySpec, prefix: str | None, *, best: bool = False) -> Record:
    """The trial whose key begins with ``prefix``, or the best seed of the smallest sufficient field.

    Where no field is known to be sufficient, or with ``best``, it is the study's winner. Of data in folds it is a whole
    replicate: the one that the named trial is a fold of, or that of the first seed, since no seed's model is better.

    Raises:
        InputError: when there is none, or more than one.
    """
    records = store.records()
    whole = replicates(records, spec.data.model_dump(mode="json"))
    if prefix is not None:
        return _replicate_of(trial_named(store.name, records, prefix), whole)
    recommended = [] if best else _recommended(store, whole)
    chosen = winner(store.name, recommended or whole, spec.search)
    return _of_first_seed(chosen, whole, spec) if isinstance(chosen, Replicate) else chosen


def _of_first_seed(chosen: Replicate, whole: Sequence[Record], spec: StudySpec) -> Record:
    """The replicate of the same configuration under the first of the study's seeds that has a complete one."""
    alike = [record for record in whole if record.configuration == chosen.configuration and record.control is None]
    seeds = list(spec.training.seeds)
    complete = [record for record in alike if record.state == "complete"]
    return min(complete, key=lambda record: seeds.index(record.seed) if record.seed in seeds else len(seeds))


def _replicate_of(record: Record, whole: Sequence[Record]) -> Record:
    """What a trial is compared as: itself, or the replicate that it is a fold of."""
    replicate = next(other for other in whole if record.key in {trial.key for trial in trials_of(other)})
    if isinstance(replicate, Replicate) and replicate.state != "complete":
        raise InputError(f"--trial {record.key}: of {replicate.label} {replicate.missing}; finish the study first")
    return replicate


def retrained_model(store: Store, prefix: str | None) -> Path:
    """The folder of a retrained model of a study: that of the trial whose key begins with ``prefix``.

    Without a prefix the only one there is, or, of several, the recommended trial's.

    Raises:
        InputError: when there is none.
    """
    there = sorted(path.parent for path in (store.folder / RETRAINED).glob(f"*/{SIDECAR}"))
    there = [folder for folder in there if not folder.name.startswith(".")]
    if not there:
        raise InputError(f"study {store.name}: no model has been retrained: autorf retrain {store.name}")
    if prefix is None and len(there) == 1:
        return there[0]
    key = chosen_trial(store, study_spec(store), prefix).key
    folder = store.folder / RETRAINED / key
    if folder not in there:
        keys = ", ".join(folder.name for folder in there)
        raise InputError(
            f"study {store.name}: the trial {key} has not been retrained, but {keys}; choose with --trial, or run "
            f"autorf retrain {store.name} --trial {key}"
        )
    return folder


def _recommended(store: Store, records: Sequence[Record]) -> list[Record]:
    if not any(record.state == "complete" for record in records):
        return []
    recommendation = compare_studies([results_of(store)]).recommendation
    sufficient = recommendation.smallest_sufficient if recommendation is not None else None
    keys = set(sufficient["keys"]) if sufficient else set()
    return [record for record in records if record.key in keys]


def retrain(
    root: Path,
    study: str,
    options: Options,
    *,
    force: bool = False,
    quiet: bool = False,
    code_folder: Path | None = None,
    accept_code_change: bool = False,
) -> Outcome:
    """Train a trial, the field that it found fixed, and write ``<root>/<study>/retrained/<key>``.

    Interrupted at any moment, the same call continues: every epoch leaves a checkpoint, and the folder appears only
    when it is whole. The test split is evaluated once, with the finished models. Of data in folds all images are
    trained on, and nothing validates the model.

    Args:
        root: the folder of all studies.
        study: its name.
        options: what may differ from the trial as it was searched.
        force: replace an earlier retrain.
        quiet: print nothing but problems.
        code_folder: that the user's own code lies in; None for where it lay when the study ran.
        accept_code_change: train with own code that is no longer the study's.

    Raises:
        InputError: for a study or trial that cannot be retrained so, or a folder that exists without ``force``.
        KeyboardInterrupt: on Ctrl-C.
    """
    store = open_store(root, study)
    spec = with_code_of(store, study_spec(store), code_folder, accept=accept_code_change)
    spec = spec.with_cache(cache_folder(root))
    with importable(spec.code):
        return _retrained(store, spec, root, options, force=force, quiet=quiet)


def _retrained(store: Store, spec: StudySpec, root: Path, options: Options, *, force: bool, quiet: bool) -> Outcome:
    record = chosen_trial(store, spec, options.trial, best=options.best)
    target = store.folder / RETRAINED / record.key
    if target.exists() and not force:
        raise InputError(f"{target}: exists already; --force replaces it")
    if options.with_val and folds_of(spec.data):
        raise InputError("--with-val: with data.folds every image is trained on; leave it out")
    configuration, seeds, note = _configuration_and_seeds(record, options)
    spec = _stripped(spec, options)
    splits = load(spec.data, cache=spec.cache)
    note = _joined(note, same_images(store, spec.data, root))
    spec = counted(spec, len(splits.train), f"study {store.name}")
    check_writable(target.parent)
    with _work_folder(target, {**asdict(options), "trial": record.key}, force) as work:
        jobs = [
            Job(
                row, f"{record.key}-{seed}", configuration, seed, spec, work / f"seed-{seed}", with_val=options.with_val
            )
            for row, seed in enumerate(seeds)
        ]
        failed = _train(jobs, quiet)
        if failed:
            return Outcome(target, reason=failed, note=note)
        jobs = _best_first(jobs, spec, options)
        card = _card(store.name, record, jobs, splits, options)
        _move_into_place(work, jobs, card, Recipe.of(jobs[0].trial_spec, splits), target)
    facts = {**asdict(options), "epochs": card.epochs, "seeds": list(seeds), "seconds": card.train_seconds}
    store.add_retrain(record.key, {**{name: facts[name] for name in facts if name != "trial"}, "fixed": card.fixed})
    return Outcome(target, card, note=note)


def _configuration_and_seeds(record: Record, options: Options) -> tuple[dict[str, Any], tuple[int, ...], str | None]:
    """What is trained, under which seeds, and why the field was not fixed where it was not."""
    trial, note = (trial_from(record.configuration, record.seed), None)
    if not trial.method.trained:
        raise InputError(f"--trial {record.key}: {record.label} is model.weights as it is; there is nothing to retrain")
    if not options.search_again:
        trial, note = with_found_field(record)
    if options.epochs is not None:
        # So many and no more.
        settings = tuple(setting for setting in trial.settings if setting[0] != "training.steps")
        trial = replace(trial, method=trial.method.not_lengthened(), settings=settings)
    seeds = (record.seed,) if options.seeds is None else options.seeds
    return trial.configuration, seeds, note


def _joined(*notes: str | None) -> str | None:
    return "; ".join(note for note in notes if note is not None) or None


def _best_first(jobs: Sequence[Job], spec: StudySpec, options: Options) -> list[Job]:
    """The finished jobs, first the one whose model is shipped."""
    if options.with_val or folds_of(spec.data):
        # Nothing was held out that could choose one.
        return list(jobs)
    name = objective(spec.search)
    return sorted(jobs, key=lambda job: -sign(name) * result_of(job).by_name.get(name, 0.0))


def _stripped(spec: StudySpec, options: Options) -> StudySpec:
    in_epochs = {"epochs": options.epochs, "steps": None, "validate_every": None}
    training = spec.training if options.epochs is None else spec.training.model_copy(update=in_epochs)
    if options.with_val:
        # Nothing is held out that could say when to stop.
        training = training.model_copy(update={"stop": None})
    return spec.model_copy(update={"training": training, "storage": StorageSpec()})


@contextmanager
def _work_folder(target: Path, request: dict[str, Any], force: bool) -> Iterator[Path]:
    """Where an unfinished retrain keeps its state; held by one process at a time."""
    work = target.parent / f".{target.name}.unfinished"
    with held(work, f"{target}: another process is retraining this trial; wait for it"):
        _same_request(work, json.loads(json.dumps(request)), force)
        yield work


def _same_request(work: Path, request: dict[str, Any], force: bool) -> None:
    path = work / _REQUEST
    before = json.loads(path.read_text()) if path.is_file() else request
    if before != request and not force:
        changes = ", ".join(f"{name} {before.get(name)}" for name in request if before.get(name) != request[name])
        raise InputError(
            f"{work}: an unfinished retrain of this trial has {changes}; repeat it with these to continue, "
            "or start over with --force"
        )
    if before != request:
        for folder in work.glob("seed-*"):
            shutil.rmtree(folder)
    write_atomically(path, json.dumps(request))


def _is_fixed(record: Record, job: Job) -> bool:
    """Whether the training had the field that the trial found only in the end."""
    searched = trial_from(record.configuration, record.seed).method
    return job.trial.method.not_lengthened() != searched.not_lengthened()


def _train(jobs: Sequence[Job], quiet: bool) -> str | None:
    """Run the jobs that have no result yet; the reason why one failed, if one did."""
    trainings = KeptTrainings(jobs)
    if not trainings.records:
        return None
    spec, first = jobs[0].spec, trainings.records[0]
    title = f"retrain {first.method} ({first.setting})"
    executor = make_local(spec, len(trainings.records))
    with open_progress(spec, trainings.records, quiet=quiet, title=title) as progress:
        TrialLoop(executor, trainings, progress).run()
    return trainings.reason


def _card(study: str, record: Record, jobs: Sequence[Job], splits: Splits, options: Options) -> Card:
    results = [result_of(job) for job in jobs]
    spec = jobs[0].trial_spec
    folds = folds_of(spec.data)
    all_trained = options.with_val or folds is not None
    split: str | None = "test" if splits.test is not None else None if all_trained else "val"
    evidence = [_evidence(job, split) for job in jobs] if split else []
    multiscale = split is not None and jobs[0].spec.evaluation.asked
    fused = [_evidence(job, str(split), multiscale=True) for job in jobs] if multiscale else []
    field = results[0].field
    assert field is not None, "every trial measures its receptive field"
    return Card(
        study=study,
        key=record.key,
        configuration=jobs[0].configuration,
        spec=spec,
        class_names=splits.class_names,
        seeds=tuple(job.seed for job in jobs),
        epochs=results[0].epochs,
        with_val=options.with_val,
        folds=folds,
        fixed=_is_fixed(record, jobs[0]),
        full_budget=options.epochs is None,
        n_train=_n_train(jobs[0], splits, options),
        split=split,
        metrics=measured(evidence, splits),
        multiscale=measured(fused, splits),
        field=field,
        values=dict(results[0].learned),
        parameters=int(results[0].costs["parameters"]),
        normalisation=splits.train.normalisation,
        train_seconds=round(sum(result.seconds or 0.0 for result in results), 2),
    )


def _n_train(job: Job, splits: Splits, options: Options) -> int:
    """How many training images the job has: its settings may leave it fewer than its study has."""
    data = job.trial_spec.data
    own = splits if data == job.spec.data else load(data, cache=job.spec.cache)
    return len((own.val_joined() if options.with_val else own).train)


def _evidence(job: Job, split: str, *, multiscale: bool = False) -> Evidence:
    """A finished job's evidence on the split; what its training did not leave is made once and kept."""
    folder = job.folder if split == "val" else job.folder / "test"
    if multiscale:
        folder /= "multiscale"
    evidence = read_evidence(folder)
    if evidence is None:
        from autorf.running.runner import evaluate

        evidence = evaluate(job, test=split == "test", multiscale=multiscale)
        write_evidence(folder, evidence)
    return evidence


def _write_plain(folder: Path, card: Card) -> bool:
    """Write the model's pattern; whether code without autorf can load the model."""
    from autorf.running.runner import trained_model

    model = trained_model(card.spec, card.class_names, folder)
    return write_plain(folder, model, card.spec, len(card.class_names))


def _move_into_place(work: Path, jobs: Sequence[Job], card: Card, recipe: Recipe, target: Path) -> None:
    """Assemble the folder beside its place, then rename it there."""
    done = work / "finished"
    shutil.rmtree(done, ignore_errors=True)
    for job in jobs:
        folder = done if job is jobs[0] else done / "seeds" / str(job.seed)
        folder.mkdir(parents=True)
        for name in (WEIGHTS, SIDECAR):
            shutil.copy2(job.folder / name, folder / name)
        recipe.write(folder)
    write_card(done, replace(card, plain=_write_plain(done, card)))
    if target.exists():
        shutil.rmtree(work / "replaced", ignore_errors=True)
        target.rename(work / "replaced")
    done.rename(target)
    for job in jobs:
        clear_checkpoints(job.folder)
    shutil.rmtree(work)
