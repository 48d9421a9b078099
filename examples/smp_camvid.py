"""The usual training of segmentation-models-pytorch's CamVid example, plus two lines (marked).

Run with the folder of CamVid (train/, trainannot/, ...) as argument; without one it trains on drawn digits.
"""

import logging
import sys
import warnings
from pathlib import Path

import lightning
import segmentation_models_pytorch as smp
import torch
from torch.utils.data import DataLoader

import autorf
from autorf.data import CamVidData, DigitsData, load

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")
drawn = DigitsData(image_size=(64, 64), object_size=(24,), n_train=32, n_val=8, n_test=0)
splits = load(CamVidData(root=Path(sys.argv[1]), image_size=(320, 480)) if sys.argv[1:] else drawn)
EPOCHS = 10 if sys.argv[1:] else 2


class CamVidModel(lightning.LightningModule):
    def __init__(self, architecture: str, encoder: str, classes: int) -> None:
        super().__init__()
        self.model = smp.create_model(architecture, encoder, encoder_weights=None, in_channels=3, classes=classes)
        self.loss = smp.losses.DiceLoss(smp.losses.MULTICLASS_MODE, from_logits=True, ignore_index=splits.ignore_index)

    def shared_step(self, batch, stage):
        images, masks = batch
        scores = self.model(images)
        counts = smp.metrics.get_stats(
            scores.argmax(1), masks.long(), "multiclass", num_classes=scores.shape[1], ignore_index=splits.ignore_index
        )
        self.log(f"{stage}_iou", smp.metrics.iou_score(*counts, reduction="micro"))
        return self.loss(scores, masks.long())

    def training_step(self, batch, _):
        return self.shared_step(batch, "train")

    def validation_step(self, batch, _):
        self.shared_step(batch, "val")

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=2e-4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS, eta_min=1e-5)
        return [optimizer], [schedule]


torch.manual_seed(0)
model = CamVidModel("FPN", "resnet18", splits.n_classes)
method = autorf.LearnedDilation(targets=r"encoder\.layer4\..*\.conv2", rates=(1, 2, 3, 4))  # added
trainer = lightning.Trainer(
    max_epochs=EPOCHS,
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    callbacks=[autorf.ReceptiveFieldCallback(method, module="model")],  # added
)
trainer.fit(model, DataLoader(splits.train, 8, shuffle=True), DataLoader(splits.val, 8))
print(autorf.describe(model.model))
print(f"val IoU {trainer.callback_metrics['val_iou']:.3f}")
