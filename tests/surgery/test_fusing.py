"""Re-parameterisation of adapted networks for deployment."""

import pickle
import warnings

import pytest
import timm
import torch
from timm.utils import reparameterize_model
from torch import Tensor, nn

import autorf

IMAGE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=0).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr,operator]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr,operator]
        if type(module).__name__ in ("LayerScale2d", "LayerScale"):
            module.gamma.data.fill_(0.5)  # type: ignore[union-attr]
    return model


def features(model: nn.Module) -> Tensor:
    with torch.no_grad():
        values: Tensor = model.forward_features(IMAGE)  # type: ignore[operator]
    return values


def difference(model: nn.Module, other: nn.Module) -> float:
    """The largest difference of their features, of the largest value."""
    first, second = features(model), features(other)
    return float((first - second).abs().max() / second.abs().max())


LEFT_OUT = {
    "mobileone_s0": ("stages.2.18.conv_kxk.2.conv", "stages.2.18.conv_kxk.3.conv"),
    "fastvit_t8": ("stages.3.blocks.1.token_mixer.mixer.conv_kxk.0.conv",),
}
FUSED = {
    "repvgg_a0": ("stages.2.12.conv_kxk.conv",),
    "mobileone_s0": tuple(f"stages.2.18.conv_kxk.{branch}.conv" for branch in range(4)),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_block_that_would_lose_the_dilation_stays_as_it_is(name: str) -> None:
    model = autorf.adapt(network(name), autorf.Dilation(targets=LEFT_OUT[name], rate=2))
    with pytest.warns(UserWarning, match=r"left out for the block of .* re-parameterise the model first and adapt it"):
        fused = reparameterize_model(model)
    assert difference(fused, model) < 1e-4
    assert len(fused.state_dict()) < len(model.state_dict()), "other blocks are fused"


@pytest.mark.parametrize("name", FUSED)
def test_a_block_that_keeps_it_is_fused_and_can_be_described(name: str) -> None:
    model = autorf.adapt(network(name), autorf.Dilation(targets=FUSED[name], rate=2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fused = reparameterize_model(pickle.loads(pickle.dumps(model)))
    assert difference(fused, model) < 1e-4
    assert not {module for module, _ in fused.named_modules()} & set(FUSED[name])
    assert str(autorf.describe(fused)) == "nothing was changed"
    assert len(autorf.describe(model).changes) == len(FUSED[name])


def test_a_block_that_still_learns_is_not_fused() -> None:
    model = autorf.adapt(network("repvgg_a0"), autorf.LearnedDilation(targets=FUSED["repvgg_a0"], start=2))
    with pytest.warns(UserWarning, match="still learns"):
        fused = reparameterize_model(model)
    assert autorf.learned_values(fused) == autorf.learned_values(model)


class Fusing(nn.Module):
    """A block whose ``fuse`` gives another module, or raises."""

    def __init__(self, dilated: bool) -> None:
        super().__init__()
        self.conv, self.norm, self.dilated = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), dilated

    def forward(self, x: Tensor) -> Tensor:
        values: Tensor = self.norm(self.conv(x))
        return values

    def fuse(self) -> nn.Module:
        rate = self.conv.dilation[0] if self.dilated else 1
        fused = nn.Conv2d(3, 3, 3, padding=rate, dilation=rate)
        scale = self.norm.weight / (self.norm.running_var + self.norm.eps).sqrt()  # type: ignore[operator]
        fused.weight = nn.Parameter(self.conv.weight * scale[:, None, None, None])
        fused.bias = nn.Parameter(torch.zeros(3))
        return fused


def test_a_fused_module_that_is_given_back_is_looked_at() -> None:
    right, wrong = (autorf.adapt(Fusing(dilated), autorf.Dilation(targets="conv", rate=3)) for dilated in (True, False))
    assert right.fuse().dilation == (3, 3)  # type: ignore[operator]
    with pytest.warns(UserWarning, match="fuse is left out for the block of 'conv'"):
        assert wrong.fuse() is wrong  # type: ignore[operator]
