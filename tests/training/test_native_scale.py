"""Pictures of any size at their own scale: exact tiles where the field allows, else overlapping ones."""

import pytest
import torch
from torch import Tensor, nn

from autorf.training.native_scale import TilePlan, scores_at_scale, tile_plan
from autorf.training.outputs import raw_scores


def local(stride: int = 2) -> nn.Module:
    torch.manual_seed(1)
    layers = (nn.Conv2d(3, 6, 3, stride=stride, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 5, padding=4, dilation=2))
    return nn.Sequential(*layers).eval()


class Global(nn.Module):
    """Adds the mean of the whole map, as global pooling in a head does."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = local()

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = self.inner(image)
        return scores + scores.mean((2, 3), keepdim=True)


def picture(height: int, width: int) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_exact_tiles_give_the_scores_of_the_whole_picture() -> None:
    model, image = local(), picture(150, 211)
    plan = tile_plan(model, (32, 32), 3, side=64)
    assert (plan.reason, plan.tile) == (None, (64, 64))
    in_tiles, size, cut = scores_at_scale(model, image, plan)[:3]
    whole, _, uncut = scores_at_scale(model, image, TilePlan((10_000, 10_000), plan.halo, plan.multiple))[:3]
    assert (cut, uncut, size) == (True, False, (150, 212))
    torch.testing.assert_close(in_tiles, whole, atol=1e-5, rtol=0)


def test_a_picture_as_large_as_a_tile_is_seen_as_a_whole() -> None:
    model, image = local(), picture(64, 48)
    scores, size, cut = scores_at_scale(model, image, tile_plan(model, (32, 32), 3, side=64))[:3]
    assert (size, cut) == ((64, 48), False)
    assert torch.equal(scores, model(image))


def test_a_model_that_mixes_the_whole_map_sees_overlapping_tiles_of_its_training_size() -> None:
    plan = tile_plan(Global().eval(), (32, 48), 3)
    assert plan.tile == (32, 48)
    assert plan.words.startswith("overlapping tiles of 32 x 48 px, blended: ")
    assert plan.reason is not None
    assert "the whole map" in plan.reason


def test_blended_tiles_of_a_field_inside_their_overlap_are_near_the_whole() -> None:
    model, image = local(), picture(90, 131)
    plan = TilePlan((48, 48), (0, 0), (2, 2), "for the test")
    scores, size, cut = scores_at_scale(model, image, plan)[:3]
    assert (cut, size, tuple(scores.shape[-2:])) == (True, (90, 132), (45, 66))
    whole = model(nn.functional.pad(image, (0, 1)))
    error, spread = (scores - whole).abs().mean(), whole.std()
    assert 0 < error < 0.1 * spread


def test_constant_scores_stay_constant_however_tiles_are_blended() -> None:
    class Constant(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return torch.full((1, 2, *image.shape[-2:]), 3.0)

    plan = TilePlan((32, 40), (0, 0), (1, 1), "for the test")
    scores, _, cut = scores_at_scale(Constant(), picture(77, 101), plan)[:3]
    assert cut
    torch.testing.assert_close(scores, torch.full((1, 2, 77, 101), 3.0))


@pytest.mark.parametrize("size", [(20, 90), (90, 20), (8, 8)])
def test_a_picture_smaller_than_a_tile_is_filled_up(size: tuple[int, int]) -> None:
    model = Global().eval()
    scores, filled, _ = scores_at_scale(model, picture(*size), tile_plan(model, (32, 32), 3))[:3]
    assert all(side >= 32 for side in filled)
    assert tuple(scores.shape[-2:]) == (filled[0] // 2, filled[1] // 2)


def test_tiles_too_small_for_the_exact_halo_overlap_and_the_words_say_which_would_do() -> None:
    plan = tile_plan(local(), (32, 32), 3, side=16)
    assert plan.tile == (32, 32)
    assert plan.reason is not None
    needed = int(plan.reason.split("--tile ")[1].rstrip(")"))
    assert tile_plan(local(), (32, 32), 3, side=needed).reason is None
    assert tile_plan(local(), (32, 32), 3, side=needed - 1).reason is not None


def test_a_model_whose_output_is_not_in_proportion_is_blended_pixel_by_pixel() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 2, 3)

        def forward(self, image: Tensor) -> dict[str, Tensor]:
            return {"out": self.convolution(image)}

    model = Odd().eval()
    scores, size, _ = scores_at_scale(model, picture(60, 60), TilePlan((32, 32), (0, 0), (1, 1), "for the test"))[:3]
    assert size == (60, 60)
    assert tuple(scores.shape) == (1, 2, 60, 60)
    assert raw_scores(model(picture(32, 32))).shape[-1] == 30
