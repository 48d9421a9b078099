"""Run one trial: build, adapt, train, measure."""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autorf.data import DataSpec, SegmentationSet, Splits, channels_of, load
from autorf.data.fold_spec import folds_of
from autorf.errors import SearchWarning
from autorf.networks import build
from autorf.networks.checkpoint import notes_kept
from autorf.networks.multipath import numbered_paths
from autorf.networks.spec import ModelSpec
from autorf.own_code.importing import active_digest, importable
from autorf.running.class_evidence import collector_for
from autorf.running.cost import PeakMemory
from autorf.running.evidence import Evidence, write_evidence
from autorf.running.multiscale import MultiScaleEvaluation, multiscale_scores
from autorf.running.running_costs import Report, RunningCosts
from autorf.study.checks import check_heat_map
from autorf.study.job import Job
from autorf.study.own_loop import OwnLoopSpec
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial
from autorf.surgery import adapt, learned_values, save
from autorf.surgery import load as load_model
from autorf.training.batches import loader, usual_workers
from autorf.training.callback import ReceptiveFieldCallback
from autorf.training.checkpoint import EpochCheckpoint, SafetensorsIO
from autorf.training.classification import ClassificationModule
from autorf.training.device import computed_precision, own_device
from autorf.training.early_stop import EarlyStop
from autorf.training.field_meter import FieldMeter
from autorf.training.module import SegmentationModule
from autorf.training.module_choice import module_for
from autorf.training.one_channel import with_two_scores
from autorf.training.parallel import check_shards, own_shard
from autorf.training.results import LABELLED, EpochReport, Field, Matrix, MultiScaleScores, TrialResult
from autorf.training.resuming import newest_checkpoint
from autorf.training.spec import steps_per_epoch

Images = DataLoader[tuple[Tensor, Tensor]]


def run(
    job: Job,
    report: Report,
    stopped: Callable[[], bool] = lambda: False,
    processes: Mapping[str, Any] | None = None,
) -> TrialResult:
    """Train one trial, from its last checkpoint where there is one, and return its results.

    The checkpoints stay until whoever asked has stored the result and clears them: a driver killed in between loses
    nothing.

    Args:
        job: what to run.
        report: called after every epoch with its measurements.
        stopped: asked after every epoch's checkpoint; True ends the training there and keeps the checkpoint.
        processes: Lightning's ``strategy`` and ``plugins`` where this is one process of a data-parallel training, whose
            first process reports, is asked, and writes all files.

    Returns:
        What the trial measured on the validation split; ``epochs`` is how far it came. Of several processes, the
        first's is whole; the others' holds what their last epoch knows.
    """
    with importable(job.spec.code):
        if isinstance(job.spec, OwnLoopSpec):
            from autorf.running.own_loop import run_own_loop

            return run_own_loop(job, report, stopped)
        return _run(job, report, stopped, processes)


def _run(job: Job, report: Report, stopped: Callable[[], bool], processes: Mapping[str, Any] | None) -> TrialResult:
    spec = job.trial_spec
    torch.set_num_threads(spec.training.threads)
    memory = PeakMemory()
    splits = splits_of(spec)
    if job.first_step:
        return _first_step(job, splits)
    if job.with_val:
        splits = splits.val_joined()
    shard = own_shard()
    check_shards(shard.processes, spec.training.batch_size, len(splits.train), len(splits.val))
    train = splits.train.with_augmentation(spec.data.augmentation, job.seed)
    model = trial_model(spec, job.trial, splits.class_names)
    module = module_for(model, spec.training, splits)
    period = spec.training.validate_every
    images = loader(
        train, spec.training.batch_size, job.seed, shuffle=True, period=period, workers=_loader_workers(spec, train)
    )
    early_stop = _early_stop(spec, job.trial, len(train))
    return fitted(
        job, module, images if job.trial.method.trained else None, report, stopped, memory, processes, early_stop
    )


def fitted(
    job: Job,
    module: SegmentationModule,
    images: Images | None,
    report: Report,
    stopped: Callable[[], bool],
    memory: PeakMemory,
    processes: Mapping[str, Any] | None = None,
    early_stop: EarlyStop | None = None,
) -> TrialResult:
    """Train ``module``, from the job's last checkpoint where there is one, and measure what it became.

    Args:
        job: whose folder takes checkpoints, evidence and the model.
        module: what is trained, with the data that it is validated on.
        images: its training batches; None to validate it as it is.
        report, stopped, processes: see :func:`run`.
        memory: whose peak is told.
        early_stop: ends the training where it no longer improves.
    """
    spec, model, splits = job.trial_spec, module.model, module.splits
    shard = own_shard()
    field = FieldMeter(model, spec.data.image_size)
    collector = collector_for(splits)
    running_costs = RunningCosts(spec, memory)
    steps = spec.training.steps
    checkpoint = EpochCheckpoint(
        job.folder, job.seed, field, running_costs.told_with(report, model), stopped, job.reached, steps, early_stop
    )
    resumed, checkpoint.notes = newest_checkpoint(job.folder, job.reached)
    for note in checkpoint.notes if shard.first else ():
        print(f"trial {job.key}: {note}", file=sys.stderr, flush=True)
    fused = _multiscale(spec, splits)
    trainer = _trainer(spec, [ReceptiveFieldCallback(steps), collector, *fused, checkpoint], processes)
    running_costs.device = trainer.strategy.root_device
    held_out = loader(splits.val, spec.training.batch_size, job.seed, shuffle=False)
    trained = images is not None
    _fit(trainer, module, images, held_out, resumed)
    if checkpoint.stopped_early:
        # That its last validation was the last nobody knew when it began, so it gathered no evidence.
        _validate(trainer, module, held_out)
    evidence, fused_evidence = collector.evidence(), [evaluation.evidence() for evaluation in fused]
    if not shard.first and trained:
        return checkpoint.history[-1].as_result()
    if not shard.first:
        return _result(job, module, checkpoint, field, running_costs, None)
    if checkpoint.stopped_early or len(checkpoint.history) == (spec.training.validations if trained else 0):
        assert evidence is not None
        write_evidence(job.folder, _with_centres(evidence, module), job.key)
        save(model, job.folder)
    fused_scores = [multiscale_scores(seen, splits, spec.evaluation) for seen in fused_evidence if seen is not None]
    return _result(job, module, checkpoint, field, running_costs, next(iter(fused_scores), None))


def _loader_workers(spec: StudySpec, train: SegmentationSet) -> int:
    """Processes that prepare batches, of one trial among those that run on this machine at once."""
    stated = spec.training.loader_workers
    if stated is not None:
        return stated
    cores = len(os.sched_getaffinity(0))
    return usual_workers(train, cores, spec.executor.workers or max(1, cores // spec.training.threads))


def _with_centres(evidence: Evidence, module: SegmentationModule) -> Evidence:
    """The evidence with what the contextual loss has learned of the classes, where it is the training's."""
    learned = module.criterion.centres
    if learned is None:
        return evidence
    centres, distances = (values.detach().float().cpu() for values in learned)
    return replace(evidence, centres=centres, centre_distances=distances)


def _early_stop(spec: StudySpec, trial: Trial, n_train: int) -> EarlyStop | None:
    training = spec.training
    if training.stop is None:
        return None
    per_epoch = steps_per_epoch(n_train, training.batch_size, own_shard().processes)
    return EarlyStop(training, trial.method.unsettled_share, training.steps or training.epochs * per_epoch)


def _first_step(job: Job, splits: Splits) -> TrialResult:
    from autorf.running.first_step import check_first_step

    check_first_step(job.spec, job.trial, splits)
    return TrialResult(metrics={}, field=Field((0.0, 0.0), 0.0), epochs=job.epochs)


def _multiscale(spec: StudySpec, splits: Splits) -> list[MultiScaleEvaluation]:
    """The multi-scale evaluation, where the study asks for one."""
    return [MultiScaleEvaluation(splits, spec.evaluation)] if spec.evaluation.asked else []


def _fit(
    trainer: lightning.Trainer, module: SegmentationModule, train: Images | None, val: Images, resumed: Path | None
) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        # The study's plan has said it of every trial.
        warnings.filterwarnings("ignore", "the search of .* heard only", SearchWarning)
        # A compiler looks at every tensor that goes into a layer, whatever that layer does with it.
        warnings.filterwarnings("ignore", r"The \.grad attribute of a Tensor that is not a leaf", UserWarning)
        if train is not None:
            trainer.fit(module, train, val, ckpt_path=resumed, weights_only=True)
        if module.validation_scores is None:
            # Nothing is trained, or resumed behind the last epoch: nothing was left to train, or validated.
            trainer.validate(module, val, verbose=False)


def _validate(trainer: lightning.Trainer, module: SegmentationModule, val: Images) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer.validate(module, val, verbose=False)


def evaluate(job: Job, *, test: bool = True, multiscale: bool = False) -> Evidence:
    """What a trained job's saved model does on the test split; nothing but a retrain asks for it.

    Args:
        job: whose model is in its folder.
        test: on the test split; otherwise on the validation split.
        multiscale: as ``evaluation`` of the study says, instead of at the images' own size.
    """
    with importable(job.spec.code):
        return _evaluate(job, test=test, multiscale=multiscale)


def _evaluate(job: Job, *, test: bool, multiscale: bool) -> Evidence:
    spec = job.trial_spec
    torch.set_num_threads(spec.training.threads)
    splits = splits_of(spec).tested() if test else splits_of(spec)
    module = module_for(trained_model(spec, splits.class_names, job.folder), spec.training, splits)
    collector = MultiScaleEvaluation(splits, spec.evaluation) if multiscale else collector_for(splits)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        images = loader(splits.val, spec.training.batch_size, job.seed, shuffle=False)
        try:
            _trainer(spec, [collector]).validate(module, images, verbose=False)
        except SystemExit as stopped:
            # Lightning turns Ctrl-C into an exit of its own.
            raise KeyboardInterrupt from stopped
    evidence = collector.evidence()
    assert evidence is not None
    return evidence


def trained_model(spec: StudySpec, class_names: Sequence[str], folder: Path) -> nn.Module:
    """The model that a finished trial or a retrain left in its folder; ``spec`` is the study as the trial has it.

    Raises:
        InputError: when it is not there, or damaged.
    """
    return saved_model(folder, spec.model, class_names, channels_of(spec.data), spec.training.threshold)


def saved_model(
    folder: Path, model: ModelSpec, class_names: Sequence[str], channels: int, threshold: float | None
) -> nn.Module:
    """A trained model without its study.

    Args:
        folder: that holds it.
        model: the network's name; with whatever weights its training began, they are not asked for.
        class_names: one for each class.
        channels: of the images.
        threshold: that it was trained with; None for a channel for every class.

    Raises:
        InputError: when it is not there, or damaged.
    """
    plain = model.model_copy(update={"pretrained": False, "weights": None, "encoder_weights": None})
    return load_model(lambda: _built(plain, class_names, channels, threshold), folder)


def trial_model(spec: StudySpec, trial: Trial, classes: int | Sequence[str]) -> nn.Module:
    """The network of a trial, adapted; the same seed gives every method the same initial weights.

    ``spec`` is the study as the trial has it, see :func:`autorf.study.trial.spec_of`.
    """
    model = seeded_network(spec, trial.seed, classes)
    return adapt(model, trial.method) if trial.method.trained else model


def seeded_network(spec: StudySpec, seed: int, classes: int | Sequence[str]) -> nn.Module:
    """The network of a study as it is built, its weights drawn from ``seed``."""
    torch.manual_seed(seed)
    with notes_kept():
        return _network(spec, classes)


def _network(spec: StudySpec, classes: int | Sequence[str]) -> nn.Module:
    check_heat_map(spec)
    return _built(spec.model, classes, channels_of(spec.data), spec.training.threshold)


def _built(model: ModelSpec, classes: int | Sequence[str], channels: int, threshold: float | None) -> nn.Module:
    """The network as it is built: with a channel for every class, or with one for two classes."""
    if threshold is None:
        return build(model, classes, channels)
    names = [] if isinstance(classes, int) else list(classes)
    paths = None if model.paths is None else numbered_paths(model.paths, names)
    return with_two_scores(build(model.model_copy(update={"paths": paths}), 1, channels), threshold)


def splits_of(spec: StudySpec) -> Splits:
    """A study's data set, read once for all trials of a process; of own code as it is now."""
    return _splits_by(spec.data, spec.cache, active_digest())


@lru_cache(maxsize=1)
def _splits_by(data: DataSpec, cache: Path | None, code: str | None) -> Splits:
    return load(data, cache=cache)


def _trainer(
    spec: StudySpec, callbacks: list[lightning.Callback], processes: Mapping[str, Any] | None = None
) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    return lightning.Trainer(
        max_epochs=spec.training.validations,
        devices=1 if processes is None else "auto",
        strategy="auto" if processes is None else processes["strategy"],
        # Every process takes its own shard of the images.
        use_distributed_sampler=False,
        precision="bf16-mixed" if computed_precision(spec.training.precision, own_device()) == "bf16" else "32-true",
        logger=False,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        plugins=[SafetensorsIO(), *(processes or {}).get("plugins", ())],
    )


def _result(
    job: Job,
    module: SegmentationModule,
    checkpoint: EpochCheckpoint,
    field: FieldMeter,
    running_costs: RunningCosts,
    multiscale: MultiScaleScores | None,
) -> TrialResult:
    assert module.validation_scores is not None
    scored = module.validation_scores
    # Without a history nothing was trained.
    last = checkpoint.history[-1] if checkpoint.history else EpochReport(epoch=0, metrics=scored.by_name, steps=0)
    return TrialResult(
        metrics=last.metrics,
        groups=last.groups,
        mean_over=LABELLED,
        multiscale=multiscale,
        iou_per_class=scored.per_class.get("iou_per_class", {}),
        f1_per_class=scored.per_class.get("f1_per_class", {}),
        accuracy_per_class=scored.per_class.get("accuracy_per_class", {}),
        learned=learned_values(module.model),
        field=field(),
        epochs=len(checkpoint.history),
        stopped_early=checkpoint.stopped_early,
        steps=last.steps,
        notes=tuple(checkpoint.notes),
        seconds=round(checkpoint.seconds, 2),
        cpu_seconds=round(checkpoint.cpu_seconds, 2) if checkpoint.cpu_seconds else None,
        device=running_costs.device.type,
        precision=_chosen_precision(job.trial_spec, running_costs.device),
        costs=running_costs(module.model),
        confusion=_of_fold(job, module.validation_confusion),
        tally=_of_fold(job, module.validation_tally if isinstance(module, ClassificationModule) else None),
    )


def _chosen_precision(spec: StudySpec, device: torch.device) -> str | None:
    """What ``training.precision: auto`` has come to; None where the study says it."""
    precision = spec.training.precision
    return computed_precision(precision, device) if precision == "auto" else None


def _of_fold(job: Job, counts: Tensor | None) -> Matrix:
    """The last validation's counts of a trial in folds, which its replicate adds up; nothing of another."""
    if folds_of(job.spec.data) is None or counts is None:
        return ()
    return tuple(map(tuple, counts.tolist()))
