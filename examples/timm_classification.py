"""A timm classifier whose last stage chooses its dilation at every pixel (PAD-Nets), in a plain training loop."""

import timm
import torch
from torch import nn

import autorf

STEPS, CLASSES = 12, 4


def images_of(classes: torch.Tensor) -> torch.Tensor:
    """Noise with a bright square whose side tells the class."""
    images = torch.rand(len(classes), 3, 64, 64)
    for image, number in zip(images, classes, strict=True):
        side = 8 * (int(number) + 1)
        image[:, 16 : 16 + side, 16 : 16 + side] += 1
    return images


torch.manual_seed(0)
model = timm.create_model("resnet18", pretrained=False, num_classes=CLASSES, output_stride=16)
# With output_stride=16 the last stage is dilated by 2 already: that must be among the rates.
autorf.adapt(model, autorf.PixelAdaptive(targets=r"layer4\.\d\.conv2", rates=(1, 2, 4)))
optimizer = torch.optim.AdamW(autorf.parameter_groups(model, lr=1e-3))

for step in range(STEPS):
    autorf.advance(model, step, STEPS)
    classes = torch.randint(CLASSES, (8,))
    loss = nn.functional.cross_entropy(model(images_of(classes)), classes)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
autorf.advance(model, STEPS, STEPS)

model.eval()
with torch.no_grad():
    model(images_of(torch.arange(CLASSES)))
print(autorf.describe(model))
print({name: round(value, 2) for name, value in autorf.learned_values(model).items()})
