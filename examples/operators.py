"""The operators alone, without adapting a model: what each does to a map, and that gradients reach what it learns."""

import torch
from torch.nn import functional

from autorf import ops

torch.manual_seed(0)
image, weight = torch.rand(1, 3, 32, 32), torch.rand(4, 3, 3, 3)

# A map resized by a learned factor, and back: inflation (Wei et al. 2018).
factor = torch.tensor(1.7, requires_grad=True)
inflated = ops.inflate(image, factor)
back = ops.interpolate(inflated, 1 / factor, (32, 32))
back.square().mean().backward()
print(f"inflate: {tuple(image.shape[2:])} -> {tuple(inflated.shape[2:])}, d loss / d f {factor.grad:.4f}")

# A scale for every pixel: scale-adaptive convolution (Zhang et al. 2017).
scale = torch.full((1, 1, 32, 32), 2.0, requires_grad=True)
output = ops.scale_adaptive_conv2d(image, weight, None, scale)
same = functional.conv2d(image, weight, padding=2, dilation=2)
output.square().mean().backward()
print(f"scale 2 everywhere is dilation 2: {torch.allclose(output, same, atol=1e-4)}")
assert scale.grad is not None
print(f"d loss / d s {tuple(scale.grad.shape)}")

# A choice of dilations for every pixel: PAD-Nets.
probabilities = torch.softmax(torch.randn(1, 3, 32, 32), 1).requires_grad_()
mixed = ops.pixel_adaptive_conv2d(image, weight, None, probabilities, rates=(1, 2, 4))
each = [functional.conv2d(image, weight, padding=rate, dilation=rate) for rate in (1, 2, 4)]
shares = probabilities.unbind(1)
expected = torch.stack([share[:, None] * term for share, term in zip(shares, each, strict=True)]).sum(0)
print(f"pixel-adaptive is the weighted sum: {torch.allclose(mixed, expected, atol=1e-4)}")

# Some dilations at once, weighted the same at every pixel.
windowed = ops.windowed_dilated_conv2d(image, weight, None, torch.tensor([0.25, 0.75]), rates=(1, 2))
print(f"windowed: {torch.allclose(windowed, 0.25 * each[0] + 0.75 * each[1], atol=1e-4)}")
