"""The same seed, data and loop: a study's trial, a loop with a handle and a Lightning project learn the same."""

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import autorf
from autorf.data import Splits
from autorf.methods.base import Method
from autorf.metrics import confusion, scores
from autorf.running import runner
from autorf.study.job import Job
from autorf.study.spec import StudySpec, counted, parse_study
from autorf.surgery import search_states
from autorf.training.batches import loader
from autorf.training.results import EpochReport
from tests.tiny import TINY

SEED, EPOCHS, STEPS, LR = 0, 3, 9, 3e-3
METHODS = (
    autorf.LearnedDilation(start=4, rates=(1, 2, 4), search=0.7),
    autorf.Inflation(search=0.4),
    autorf.PixelAdaptive(rates=(1, 2)),
)

Epoch = tuple[float, float, dict[str, float]]
"""Of one epoch: the mean of the training loss, the score behind it, and what was learned by then."""


@cache
def spec() -> StudySpec:
    plain = {"warmup": 0, "schedule": {"kind": "constant"}, "lr": LR, "epochs": EPOCHS, "batch_size": 16}
    return counted(parse_study({**TINY, "training": plain}, "tiny"), TINY["data"]["n_train"], "tiny")


@cache
def of_the_study(method: Method) -> list[Epoch]:
    reports: list[EpochReport] = []
    with TemporaryDirectory() as folder:
        runner.run(Job(1, "study", method.model_dump(mode="json"), SEED, spec(), Path(folder)), reports.append)
    return [(report.loss, report.metrics["miou"], report.learned) for report in reports]


class Project(lightning.LightningModule):
    """A training that knows nothing of autorf: its network, batches, loss and score."""

    def __init__(self) -> None:
        super().__init__()
        self.splits: Splits = runner.splits_of(spec())
        torch.manual_seed(SEED)
        self.model = autorf.build(spec().model, self.splits.class_names)
        self.losses: list[Tensor] = []
        self.matrices: list[Tensor] = []
        self.epochs: list[Epoch] = []

    def batches(self) -> Any:
        train = self.splits.train.with_augmentation(spec().data.augmentation, SEED)
        return loader(train, 16, SEED, shuffle=True), loader(self.splits.val, 16, SEED, shuffle=False)

    def on_train_epoch_start(self) -> None:
        self.seed_epoch(self.current_epoch)

    def seed_epoch(self, epoch: int) -> None:
        torch.manual_seed(SEED * 100_003 + epoch)

    def training_step(self, batch: Any, index: int) -> Tensor:
        images, masks = self.splits.train.numbers(*batch)
        loss = cross_entropy(self.model(images), masks)
        self.losses.append(loss.detach())
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        images, masks = self.splits.val.numbers(*batch)
        self.matrices.append(confusion(self.model(images).argmax(1), masks, self.splits.n_classes))

    def on_validation_epoch_end(self) -> None:
        score = scores(torch.stack(self.matrices).sum(0), self.splits.class_names).miou
        self.epochs.append((torch.stack(self.losses).mean().item(), score, autorf.learned_values(self.model)))
        self.losses, self.matrices = [], []

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=LR)


def by_handle(method: Method) -> Project:
    """The project trained by a plain loop: two lines more, ``attach`` and ``step``."""
    project = Project()
    training, held_out = project.batches()
    optimizer = project.configure_optimizers()
    handle = autorf.attach(project.model, optimizer, method, STEPS)
    for epoch in range(EPOCHS):
        training.sampler.set_epoch(epoch)
        iterator = iter(training)
        project.seed_epoch(epoch)
        project.train()
        for index, batch in enumerate(iterator):
            loss = project.training_step(batch, index)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            handle.step()
        project.eval()
        with torch.no_grad():
            for index, batch in enumerate(held_out):
                project.validation_step(batch, index)
        project.on_validation_epoch_end()
    return project


def by_callback(method: Method) -> Project:
    """The project trained by Lightning: one line more, the callback."""
    project = Project()
    trainer = lightning.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
        callbacks=[autorf.ReceptiveFieldCallback(method, module="model")],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(project, *project.batches())
    return project


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.method)
@pytest.mark.parametrize("trained", [by_handle, by_callback])
def test_a_project_of_ones_own_learns_what_the_trial_of_a_study_learns(
    trained: Callable[[Method], Project], method: Method
) -> None:
    expected = of_the_study(method)
    project = trained(method)
    # Bit for bit: both compute the same, in one order.
    assert project.epochs == expected
    assert expected[0] != expected[-1]
    assert search_states(project.model) == []  # what was searched is over
