"""transformers' Trainer on a SegFormer: its depthwise convolutions learn their dilation.

Needs: pip install 'autorf-torch[hf]'. UPerNet and others work alike; `targets` names their own layers.
"""

import tempfile
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import SegformerConfig, SegformerForSemanticSegmentation, Trainer, TrainingArguments

import autorf
from autorf.data import DigitsData, load

splits = load(DigitsData(image_size=(64, 64), object_size=(24,), n_train=16, n_val=8, n_test=0))


class Batches(Dataset[Any]):
    """The items as transformers names them."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        image, mask = self.items[index]
        return {"pixel_values": image, "labels": mask.long()}


torch.manual_seed(0)
# Of published weights: SegformerForSemanticSegmentation.from_pretrained("nvidia/mit-b0", num_labels=...).
config = SegformerConfig(
    depths=[1, 1, 1, 1],
    hidden_sizes=[16, 16, 32, 32],
    num_attention_heads=[1, 1, 2, 2],
    decoder_hidden_size=32,
)
config.num_labels = splits.n_classes
model = SegformerForSemanticSegmentation(config)
# Its stages have different strides: one dilation for all would be another field in each.
autorf.adapt(model, autorf.LearnedDilation(targets=r".*\.dwconv\.dwconv", rates=(1, 2, 3), shared=False))
optimizer = torch.optim.AdamW(autorf.parameter_groups(model, lr=6e-5))

with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        folder,
        max_steps=8,
        per_device_train_batch_size=4,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
    )
    trainer = Trainer(
        model,
        arguments,
        train_dataset=Batches(splits.train),
        optimizers=(optimizer, None),
        callbacks=[autorf.TransformersCallback()],
    )
    trainer.train()
print(autorf.describe(model))
