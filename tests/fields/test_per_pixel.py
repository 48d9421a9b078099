import pytest
import torch
from torch import nn

import autorf
from autorf.errors import InputError
from autorf.fields import field_map
from autorf.methods import PixelAdaptive, ScaleAdaptive
from autorf.methods.scale_adaptive import ScaleAdaptiveConv2d


def chain() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1)
    )


def test_the_field_grows_with_each_layers_dilation_at_the_pixel() -> None:
    model = autorf.adapt(chain(), ScaleAdaptive(targets=["1", "2"], dilation=2))
    autorf.advance(model, 1, 2)
    for name, scale in (("1", 1.5), ("2", 2.0)):
        layer = model.get_submodule(name)
        assert isinstance(layer, ScaleAdaptiveConv2d)
        layer.scale_weight.data.zero_()
        layer.scale_bias.data.fill_(scale)
    found = field_map(model, torch.randn(1, 3, 48, 64))
    assert found.shape == (1, 1, 48, 64)
    # 3 from the strided layer, and each 3x3 layer adds 2 taps x stride 2 x dilation 2 x scale.
    torch.testing.assert_close(found, torch.full_like(found, 3 + 8 * 1.5 + 8 * 2.0), rtol=0, atol=1e-3)


def test_pixels_that_chose_a_larger_dilation_have_a_larger_field() -> None:
    model = autorf.adapt(chain(), PixelAdaptive(targets=["1"], rates=(1, 4)))
    autorf.advance(model, 1, 2)
    layer = model.get_submodule("1")
    with torch.no_grad():
        next(p for name, p in layer.named_parameters() if p.shape[:2] == (2, 4)).copy_(
            torch.tensor([[-9.0, 0, 0, 0], [9.0, 0, 0, 0]])[:, :, None, None]
        )
    image = torch.randn(1, 3, 32, 32)
    found, chosen = field_map(model.eval(), image), layer.dilation_map
    assert chosen is not None
    assert float(found.max() - found.min()) == pytest.approx(4 * float(chosen.max() - chosen.min()), rel=0.1)


def test_a_model_without_per_pixel_layers_is_refused() -> None:
    with pytest.raises(InputError, match="no per-pixel layer"):
        field_map(chain(), torch.zeros(1, 3, 32, 32))
