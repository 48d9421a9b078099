"""A Lightning project that knows nothing of autorf gains one line: the callback adapts, groups, searches and logs."""

import logging
import warnings
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

import autorf
from autorf.data import DigitsData, load

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")
splits = load(DigitsData(image_size=(48, 48), object_size=(20,), n_train=64, n_val=16, n_test=0))


class Segmentation(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        layers = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()
        self.model = nn.Sequential(*layers, nn.Conv2d(8, splits.n_classes, 1))

    def training_step(self, batch, batch_idx):
        return cross_entropy(self.model(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", cross_entropy(self.model(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def trainer(epochs: int) -> lightning.Trainer:
    found = autorf.ReceptiveFieldCallback(autorf.Inflation(start="2", end="2"), module="model")  # the line
    checkpoints = ModelCheckpoint("checkpoints", filename="{epoch}", save_top_k=-1, enable_version_counter=False)
    return lightning.Trainer(
        max_epochs=4, limit_train_batches=8, max_steps=8 * epochs, accelerator="cpu", logger=CSVLogger("logs"),
        callbacks=[found, checkpoints], enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1,
    )  # fmt: skip


def images(split, *, shuffle: bool = False) -> DataLoader[Any]:
    return DataLoader(split, batch_size=8, shuffle=shuffle)


torch.manual_seed(0)
module, fitted = Segmentation(), trainer(epochs=4)
fitted.fit(module, images(splits.train, shuffle=True), images(splits.val))
print(autorf.describe(module.model))
logged = {name: round(float(value), 3) for name, value in fitted.logged_metrics.items()}
print(f"logged: {logged}")

# What was killed behind its second epoch goes on from the checkpoint, in whichever phase it was.
again = Segmentation()
cut = "checkpoints/epoch=1.ckpt"
trainer(epochs=4).fit(again, images(splits.train, shuffle=True), images(splits.val), ckpt_path=cut)
print(f"gone on from the second epoch: f {autorf.learned_values(again.model)['f']:.3f}")
