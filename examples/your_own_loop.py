"""Learn the dilation of a U-Net's last encoder stage in a plain training loop, then deploy plain layers."""

import segmentation_models_pytorch as smp
import torch
from torch.nn.functional import cross_entropy

import autorf
from autorf.data import DigitsData, load

STEPS = 20
splits = load(DigitsData(image_size=(64, 64), object_size=(24,), n_train=64, n_val=16, n_test=0))

torch.manual_seed(0)
model = smp.Unet("resnet18", encoder_weights=None, classes=splits.n_classes)
autorf.adapt(model, autorf.LearnedDilation(targets=r"encoder\.layer4\..*\.conv2", rates=(1, 2, 3, 4)))
optimizer = torch.optim.AdamW(autorf.parameter_groups(model, lr=1e-3))

for step in range(STEPS):
    autorf.advance(model, step, STEPS)
    images, masks = splits.train.tensors(torch.randint(len(splits.train), (8,)))
    loss = cross_entropy(model(images), masks)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
autorf.advance(model, STEPS, STEPS)

print(autorf.describe(model))
model.eval()
autorf.freeze(model)
field = autorf.receptive_field(model, splits.image_size)
print(f"receptive field {field.size} px, rnorm {field.rnorm:.2f}")
