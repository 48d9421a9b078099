"""Run a distillation, or what is missing of it: the teacher, the student alone, and each stage of the taught one."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from autorf.data import load
from autorf.data.cache_place import cache_folder
from autorf.distillation.checks import Kept, check
from autorf.distillation.images import StageImages, stage_images
from autorf.distillation.report import page
from autorf.distillation.run_stage import run_stage
from autorf.distillation.stage import Lengths, Stage, StageJob, lengths, stage_spec
from autorf.distillation.table import Cost, Table, published_sentences, row_of
from autorf.distillation.unlabelled import picture_files
from autorf.driver.kept_trainings import KeptTrainings, held
from autorf.driver.loop import TrialLoop
from autorf.driver.progress import open_progress
from autorf.driver.search import check_name, check_writable
from autorf.errors import InputError
from autorf.executors import Executor, worker_count
from autorf.files import write_atomically
from autorf.own_code.importing import importable
from autorf.running.cost import costs
from autorf.running.evidence import Evidence, read_evidence
from autorf.running.runner import trained_model
from autorf.specification import fields_in, value_before
from autorf.store.store import study_folder
from autorf.study.distill_spec import DistillSpec
from autorf.study.job import Job
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial
from autorf.training.resuming import clear_checkpoints

DISTILLED = "distilled"
"""The folder in a study's folder that holds a folder for each stage and seed, and the table."""

REPORT = "report.html"
"""The page in that folder with scores and predictions."""

_PARTS = ("data", "model", "training", "distill")
"""Of the study file, what a distillation depends on ..."""

_LEFT_OUT = (
    "training.seeds", "training.epochs", "training.loader_workers", "data.cache_gb", "data.patches", "distill.cache_gb",
)  # fmt: skip
"""... but for these keys, which a request does not hold, or not always."""

_REQUEST, _TABLE, _SCORES = "request.json", "table.json", "teacher_scores"


@dataclass(frozen=True)
class Outcome:
    """A finished distillation: its folder and table; or why a stage failed."""

    folder: Path
    table: Table | None = None
    reason: str | None = None


def distill(spec: StudySpec, source: str, root: Path, *, force: bool = False, quiet: bool = False) -> Outcome:
    """Run every stage that is not done yet, and compare teacher and students on the validation split.

    Interrupted at any moment, the same call continues: every epoch leaves a checkpoint, and every stage its result.
    What is done already is read, not trained again.

    Args:
        spec: the study, with a section ``distill``.
        source: where it was read from, for messages.
        root: the folder of all studies.
        force: begin anew, whatever is there.
        quiet: print nothing but problems.

    Raises:
        InputError: for anything wrong with the study file, its data or its networks, before anything is trained.
        KeyboardInterrupt: on Ctrl-C.
    """
    spec = spec.with_cache(cache_folder(root))
    if spec.distill is None:
        raise InputError(
            f"{source}: has no section distill, which says what the teacher is; the built-in study distill_digits has"
        )
    folder = study_folder(root, spec.name)
    check_name(folder)
    check_writable(root)
    target = folder / DISTILLED
    with held(target, f"{target}: another process is distilling this study; wait for it"), importable(spec.code):
        try:
            _begin(target, _request(spec, spec.distill), spec, force)
            table = _stored(target, spec)
            return Outcome(target, table) if table is not None else _distilled(spec, spec.distill, target, quiet)
        except InputError as error:
            _remove_empty(target)
            raise InputError(f"{source}: {error}") from None


def _remove_empty(target: Path) -> None:
    """What could not begin leaves nothing behind."""
    for folder in (target, target.parent):
        if not any(folder.iterdir()):
            folder.rmdir()


def _request(spec: StudySpec, settings: DistillSpec) -> dict[str, Any]:
    """What the results depend on; more seeds only add to them."""
    plain = spec.model_dump(mode="json", include=set(_PARTS))
    plain["training"].pop("seeds")
    plain["training"].pop("loader_workers")
    plain["data"].pop("cache_gb", None)
    if plain["data"].get("patches", "") is None:
        # As those have it that were begun before there were patches.
        del plain["data"]["patches"]
    plain["distill"].pop("cache_gb")
    weights = settings.teacher.model.weights
    folder = None if settings.unlabelled is None else settings.unlabelled.folder
    landmarks = None if settings.unlabelled is None else settings.unlabelled.landmarks
    # What has the same name may be another file meanwhile.
    plain["teacher's weights"] = None if weights is None else _digest([weights])
    plain["unlabelled pictures"] = None if folder is None else _digest(picture_files(folder))
    if landmarks is not None:
        plain["their landmarks"] = _digest(sorted(landmarks.iterdir()) if landmarks.is_dir() else [landmarks])
    plain["own code"] = spec.code.digest if spec.code else None
    return plain


def _digest(files: Sequence[Path]) -> str:
    """Of the names, sizes and times of files."""
    facts = []
    for file in files:
        try:
            about = file.stat()
        except OSError:
            # Whoever opens it says what is wrong.
            continue
        facts.append([file.name, about.st_size, about.st_mtime_ns])
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def _fill(request: dict[str, Any], spec: StudySpec) -> None:
    """Give a stored request the keys that it is older than, each with what was done before it."""
    for part in _PARTS:
        for key, field in fields_in([type(getattr(spec, part))], part):
            *path, name = key.split(".")
            inner: Any = request
            for step in path:
                inner = inner.get(step) if isinstance(inner, dict) else None
            # Counted in steps, a training names no epochs.
            if isinstance(inner, dict) and name not in inner and not field.is_required() and key not in _LEFT_OUT:
                inner[name] = value_before(field)


def _begin(target: Path, request: dict[str, Any], spec: StudySpec, force: bool) -> None:
    """Refuse a study that has changed since it was begun, or make room to begin anew."""
    path = target / _REQUEST
    before = json.loads(path.read_text()) if path.is_file() else None
    if before is not None:
        _fill(before, spec)
    if force:
        for inner in target.iterdir():
            shutil.rmtree(inner) if inner.is_dir() else inner.unlink()
    elif before is not None and before != request:
        changed = ", ".join(part for part in request if before.get(part) != request[part])
        raise InputError(
            f"{changed} changed since {target} was begun; change it back, give the study another name, or begin anew "
            "with --force"
        )


def _stored(target: Path, spec: StudySpec) -> Table | None:
    """The table of all of the study's seeds, where it was made already."""
    path = target / _TABLE
    if not path.is_file():
        return None
    table = Table.from_json(json.loads(path.read_text()))
    return table if table.row("alone").seeds == spec.training.seeds else None


def _distilled(spec: StudySpec, settings: DistillSpec, target: Path, quiet: bool) -> Outcome:
    images = stage_images(load(spec.data, cache=spec.cache), spec.data, settings.unlabelled)
    kept = check(spec, settings, images)
    write_atomically(target / _REQUEST, json.dumps(_request(spec, settings)))
    steps = lengths(spec, settings, len(images.splits.train), len(images.unlabelled or ()))
    jobs = stage_jobs(spec, settings, target, steps, kept)
    reason = _train(jobs, spec, kept.notes, quiet)
    if reason is not None:
        return Outcome(target, reason=reason)
    table = _table(spec, jobs, images, steps, kept.notes)
    first = {job.stage: _evidence(job) for job in reversed(jobs.values())}
    write_atomically(target / REPORT, page(spec, table, {row.stage: first[row.stage] for row in table.rows}))
    write_atomically(target / _TABLE, json.dumps(table.to_json(), indent=1) + "\n")
    for job in jobs.values():
        clear_checkpoints(job.folder)
    shutil.rmtree(target / _SCORES, ignore_errors=True)
    return Outcome(target, table)


def stage_jobs(spec: StudySpec, settings: DistillSpec, target: Path, steps: Lengths, kept: Kept) -> dict[str, StageJob]:
    """Every stage under every seed by its key, in the order in which they run.

    Args:
        spec: the study.
        settings: its section ``distill``.
        target: the folder for all of them.
        steps: how long each is.
        kept: of which the teacher's scores are kept on disk.
    """
    teacher, scores = target / "teacher", target / _SCORES
    copied = teacher if settings.copied else None
    of_stage: dict[Stage, dict[str, Any]] = {
        "teacher": {"trained": steps.teacher > 0},
        "alone": {"copied_from": copied},
        "supervised": {
            "copied_from": copied,
            "teacher": teacher,
            "scores": scores / "labelled.npy" if kept.supervised else None,
        },
        "unsupervised": {"teacher": teacher, "scores": scores / "unlabelled.npy" if kept.unsupervised else None},
    }
    if not steps.unsupervised:
        del of_stage["unsupervised"]
    jobs: dict[str, StageJob] = {}
    for stage, own in of_stage.items():
        for seed in (settings.teacher.seed,) if stage == "teacher" else spec.training.seeds:
            key = _key(stage, seed)
            start = target / _key("supervised", seed) if stage == "unsupervised" else None
            jobs[key] = StageJob(
                row=len(jobs),
                key=key,
                configuration=_shown(spec, settings, stage, steps),
                seed=seed,
                spec=stage_spec(spec, settings, stage, steps),
                folder=target / key,
                stage=stage,
                start=start,
                **own,
            )
    return jobs


def _key(stage: Stage, seed: int) -> str:
    return "teacher" if stage == "teacher" else f"{stage}-{seed}"


def _shown(spec: StudySpec, settings: DistillSpec, stage: Stage, steps: Lengths) -> dict[str, Any]:
    """What a display calls a stage."""
    model = settings.teacher.model if stage == "teacher" else spec.model
    length = {"teacher": steps.teacher, "alone": steps.student}.get(stage) or getattr(steps, stage)
    return {"method": stage, "model": model.name, "steps": length}


def needs(jobs: dict[str, StageJob]) -> dict[str, list[str]]:
    """By a stage's key those of the stages that come before it."""
    before: dict[str, list[str]] = {}
    for key, job in jobs.items():
        taught = ["teacher"] if job.teacher is not None or job.copied_from is not None else []
        before[key] = [*taught, *([] if job.start is None else [job.start.name])]
    return before


class _Stages(KeptTrainings):
    def trial(self, job: Job) -> Trial | None:
        """A stage is no trial of a search."""
        return None


def _train(jobs: dict[str, StageJob], spec: StudySpec, notes: Sequence[str], quiet: bool) -> str | None:
    """Run the stages that have no result yet; the reason why one failed, if one did."""
    stages = _Stages(list(jobs.values()), needs(jobs))
    if not stages.records:
        return None
    title = f"distill {spec.name}"
    epochs = {key: job.epochs for key, job in jobs.items()}
    with open_progress(spec, stages.records, quiet=quiet, title=title, epochs=epochs) as progress:
        for note in notes:
            progress.note(note)
        TrialLoop(make_executor(spec, len(stages.records)), stages, progress).run()
    return stages.reason


def make_executor(spec: StudySpec, jobs: int) -> Executor:
    """Worker processes on this machine that run stages."""
    from autorf.executors.local import LocalExecutor

    return LocalExecutor(min(worker_count(spec), jobs), run_stage)


def _table(
    spec: StudySpec, jobs: dict[str, StageJob], images: StageImages, steps: Lengths, notes: Sequence[str]
) -> Table:
    stages = list(dict.fromkeys(job.stage for job in jobs.values()))
    of_stage = {stage: [job for job in jobs.values() if job.stage == stage] for stage in stages}
    evidence = {stage: [_evidence(job) for job in of_stage[stage]] for stage in stages}
    n_steps: dict[Stage, int] = {
        "teacher": steps.teacher,
        "alone": steps.student,
        "supervised": steps.supervised,
        "unsupervised": steps.student,
    }
    student = _cost(of_stage["alone"][0], images)
    cost = dict.fromkeys(stages, student) | {"teacher": _cost(of_stage["teacher"][0], images)}
    rows = [
        row_of(
            stage,
            [job.seed for job in of_stage[stage]],
            n_steps[stage],
            evidence[stage],
            evidence["alone"] if stage in ("supervised", "unsupervised") else [],
            images.splits,
            cost[stage],
        )
        for stage in stages
    ]
    published = published_sentences(spec.published, rows)
    return Table(spec.name, evidence["teacher"][0].n_images, tuple(rows), tuple(notes), published)


def _evidence(job: StageJob) -> Evidence:
    evidence = read_evidence(job.folder)
    if evidence is None:
        raise InputError(f"{job.folder}: what the stage predicted is damaged; remove the folder to train it again")
    return evidence


def _cost(job: StageJob, images: StageImages) -> Cost:
    """Measured with nothing else running: one network after the other, in this process."""
    torch.set_num_threads(job.spec.training.threads)
    model = trained_model(job.spec, images.splits.class_names, job.folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    measured = costs(model, job.spec.data.image_size, device)
    return Cost(int(measured["parameters"]), round(1000 / measured["latency_ms"], 1))
