"""Add a learned receptive field to an existing Lightning module: adapt in __init__, plug in one callback."""

import logging
import warnings

import lightning
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

import autorf
from autorf.data import DigitsData, load

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")
splits = load(DigitsData(image_size=(64, 64), object_size=(24,), n_train=64, n_val=16, n_test=0))


torch.manual_seed(0)


class Segmentation(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = autorf.build(
            autorf.ModelSpec(name="largefov:test_byobnet", stage=1, dilation=4, channels=(32, 32)), splits.n_classes
        )
        autorf.adapt(self.model, autorf.Inflation())

    def training_step(self, batch, batch_idx):
        images, masks = batch
        return cross_entropy(self.model(images), masks)

    def configure_optimizers(self):
        return torch.optim.AdamW(autorf.parameter_groups(self.model, lr=3e-3))


module = Segmentation()
trainer = lightning.Trainer(
    max_epochs=2,
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    callbacks=[autorf.ReceptiveFieldCallback()],
)
trainer.fit(module, DataLoader(splits.train, batch_size=8, shuffle=True))
print(autorf.describe(module.model))
