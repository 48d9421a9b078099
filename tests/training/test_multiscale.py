import pytest
import torch
from torch import nn

import autorf
from autorf.errors import InputError


class Scores(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3, padding=1, stride=2)
        self.seen: list[tuple[int, ...]] = []

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        self.seen.append(tuple(image.shape[2:]))
        return {"out": self.layer(image)}


def test_one_scale_gives_the_models_own_probabilities() -> None:
    model, image = Scores(), torch.randn(2, 3, 16, 24)
    own = nn.functional.interpolate(model(image)["out"], size=(16, 24), mode="bilinear").softmax(1)
    torch.testing.assert_close(autorf.MultiScale(model, [1.0], flip=False)(image), own)


def test_scales_and_mirror_images_are_averaged() -> None:
    model, image = Scores(), torch.randn(2, 3, 16, 24)
    fused = autorf.MultiScale(model, [0.5, 1.0], multiple=8)
    whole = fused(image)
    assert model.seen == [(8, 16), (8, 16), (16, 24), (16, 24)]
    torch.testing.assert_close(whole.sum(1), torch.ones(2, 16, 24))
    torch.testing.assert_close(fused(image.flip(3)), whole.flip(3))
    assert not whole.requires_grad


def test_no_scale_is_refused() -> None:
    with pytest.raises(InputError, match="scales is empty"):
        autorf.MultiScale(Scores(), [])
    with pytest.raises(InputError, match="scales must be positive"):
        autorf.MultiScale(Scores(), [1.0, 0.0])
