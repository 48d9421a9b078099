"""Run one trial: build, adapt, train, measure."""

import json
import logging
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autorf.data import DataSpec, Splits, load
from autorf.fields import receptive_field
from autorf.networks import build
from autorf.running.cost import PeakMemory, costs
from autorf.running.evidence import Evidence, write_evidence
from autorf.running.evidence_collector import Gatherer
from autorf.study.job import Job
from autorf.study.objectives import COSTS
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial, spec_of, trial_from
from autorf.surgery import adapt, advance, learned_values, save
from autorf.surgery import load as load_model
from autorf.training.batches import loader
from autorf.training.callback import ReceptiveFieldCallback
from autorf.training.checkpoint import EpochCheckpoint, SafetensorsIO
from autorf.training.module import SegmentationModule
from autorf.training.parallel import check_shares, own_share
from autorf.training.resuming import newest_checkpoint

Report = Callable[[dict[str, Any]], None]
Images = DataLoader[tuple[Tensor, Tensor]]


def run(
    job: Job,
    report: Report,
    stopped: Callable[[], bool] = lambda: False,
    processes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
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
        Validation metrics with per-class values, receptive field, learned values, cost; ``epochs`` is how far it came.
        Of several processes, the first's does.
    """
    spec = job.trial_spec
    torch.set_num_threads(spec.training.threads)
    memory = PeakMemory()
    splits = _splits(spec.data)
    if job.with_val:
        splits = splits.val_joined()
    share = own_share()
    check_shares(share.processes, spec.training.batch_size, len(splits.train), len(splits.val))
    train = splits.train.with_augmentation(spec.data.augmentation, job.seed)
    model = trial_model(spec, job.configuration, job.seed, splits.class_names)
    module = SegmentationModule(model, spec.training, splits)
    field = FieldOf(model, spec)
    gatherer = Gatherer(splits)
    price = Price(spec, memory)
    steps = spec.training.steps
    checkpoint = EpochCheckpoint(
        job.folder, job.seed, field, price.told_with(report, model), stopped, job.reached, steps
    )
    resumed, checkpoint.notes = newest_checkpoint(job.folder, job.reached)
    for note in checkpoint.notes if share.first else ():
        print(f"trial {job.key}: {note}", file=sys.stderr, flush=True)
    trainer = _trainer(spec, [ReceptiveFieldCallback(steps), gatherer, checkpoint], processes)
    price.device = trainer.strategy.root_device
    period = spec.training.validate_every
    images = loader(train, spec.training.batch_size, job.seed, shuffle=True, period=period)
    held_out = loader(splits.val, spec.training.batch_size, job.seed, shuffle=False)
    _fit(trainer, module, images, held_out, resumed)
    evidence = gatherer.evidence()
    if not share.first:
        return {}
    if len(checkpoint.history) == spec.training.validations:
        assert evidence is not None
        write_evidence(job.folder, evidence)
        save(model, job.folder)
    return _result(module, checkpoint, field, price)


def _fit(
    trainer: lightning.Trainer, module: SegmentationModule, train: Images, val: Images, resumed: Path | None
) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(module, train, val, ckpt_path=resumed, weights_only=True)
        if module.validation_scores is None:
            # Resumed behind the last epoch: nothing was left to train, so nothing was validated either.
            trainer.validate(module, val, verbose=False)


def evaluate(job: Job) -> Evidence:
    """What a trained job's saved model does on the test split; nothing but a retrain asks for it."""
    spec = job.trial_spec
    torch.set_num_threads(spec.training.threads)
    splits = _splits(spec.data).tested()
    module = SegmentationModule(trained_model(spec, splits.class_names, job.folder), spec.training, splits)
    gatherer = Gatherer(splits)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        images = loader(splits.val, spec.training.batch_size, job.seed, shuffle=False)
        try:
            _trainer(spec, [gatherer]).validate(module, images, verbose=False)
        except SystemExit as stopped:
            # Lightning turns Ctrl-C into an exit of its own.
            raise KeyboardInterrupt from stopped
    evidence = gatherer.evidence()
    assert evidence is not None
    return evidence


def trained_model(spec: StudySpec, class_names: Sequence[str], folder: Path) -> nn.Module:
    """The model that a finished trial or a retrain left in its folder; ``spec`` is the study as the trial has it.

    Raises:
        InputError: when it is not there, or damaged.
    """
    plain = spec.model.model_copy(update={"pretrained": False, "weights": None})
    return load_model(lambda: build(plain, class_names), folder)


def trial_model(spec: StudySpec, configuration: dict[str, Any], seed: int, classes: int | Sequence[str]) -> nn.Module:
    """The network of a trial, adapted; the same seed gives every method the same initial weights.

    ``spec`` is the study as the trial has it, see :func:`autorf.study.trial.spec_of`.
    """
    torch.manual_seed(seed)
    trial = trial_from(configuration, seed)
    return adapt(build(spec.model, classes), trial.method)


def field_at_start(spec: StudySpec, trial: Trial, classes: int | Sequence[str]) -> dict[str, Any]:
    """``rf`` and ``rnorm`` of a trial's network before its first step."""
    own = spec_of(spec, trial)
    model = trial_model(own, trial.configuration, trial.seed, classes)
    advance(model, 0, 1)
    return FieldOf(model, own)()


class Price:
    """What a trial's network costs to run."""

    def __init__(self, spec: StudySpec, memory: PeakMemory) -> None:
        self.spec, self.memory, self.device = spec, memory, torch.device("cpu")

    def __call__(self, model: nn.Module) -> dict[str, Any]:
        """Parameters, FLOPs, latency and the peak memory of the training so far."""
        memory = self.memory.megabytes()
        return {**costs(model, self.spec.data.image_size, self.device), "peak_memory_mb": memory}

    def told_with(self, report: Report, model: nn.Module) -> Report:
        """A report that also says the cost which is an objective, where pruning compares trials of similar cost.

        It is measured once, at the first epoch told.
        """
        cost = next((name for name in self.spec.search.objectives[1:] if name in COSTS), None)
        if cost is None or self.spec.search.pruning is None:
            return report
        measured: dict[str, Any] = {}

        def told(epoch: dict[str, Any]) -> None:
            measured.update({} if measured else {cost: self(model)[cost]})
            report({**epoch, **measured})

        return told


class FieldOf:
    """The receptive field of one model under study, measured anew only when a learned value changed."""

    def __init__(self, model: nn.Module, spec: StudySpec) -> None:
        self.model, self.image_size = model, spec.data.image_size
        self._known: dict[str, dict[str, Any]] = {}

    def __call__(self) -> dict[str, Any]:
        """``rf`` in input pixels ``[h, w]`` and ``rnorm``."""
        values = json.dumps(learned_values(self.model), sort_keys=True)
        if values not in self._known:
            found = receptive_field(self.model, self.image_size)
            self._known[values] = {"rf": [round(float(side), 2) for side in found.size], "rnorm": found.rnorm}
        return self._known[values]


@lru_cache(maxsize=1)
def _splits(spec: DataSpec) -> Splits:
    return load(spec)


def _trainer(
    spec: StudySpec, callbacks: list[lightning.Callback], processes: Mapping[str, Any] | None = None
) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    return lightning.Trainer(
        max_epochs=spec.training.validations,
        devices=1 if processes is None else "auto",
        strategy="auto" if processes is None else processes["strategy"],
        # Every process takes its own share of the images.
        use_distributed_sampler=False,
        precision="bf16-mixed" if spec.training.precision == "bf16" else "32-true",
        logger=False,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        plugins=[SafetensorsIO(), *(processes or {}).get("plugins", ())],
    )


def _result(module: SegmentationModule, checkpoint: EpochCheckpoint, field: FieldOf, price: Price) -> dict[str, Any]:
    last = checkpoint.history[-1]
    assert module.validation_scores is not None
    per_class = module.validation_scores
    return {
        **{name: last[name] for name in ("miou", "f1", "pixel_accuracy")},
        "split": "val",
        "iou_per_class": per_class.iou,
        "f1_per_class": per_class.f1_per_class,
        "values": learned_values(module.model),
        **field(),
        "epochs": len(checkpoint.history),
        **({"notes": checkpoint.notes} if checkpoint.notes else {}),
        "train_seconds": round(checkpoint.seconds, 2),
        **({"cpu_seconds": round(checkpoint.cpu_seconds, 2)} if checkpoint.cpu_seconds else {}),
        "device": price.device.type,
        **price(module.model),
    }
