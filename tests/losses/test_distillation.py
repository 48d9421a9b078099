"""The student's loss equals a loop over pixels, and each of the paper's changes does what it says and no more."""

from typing import Any

import pytest
import torch
from torch import Tensor

from autorf.errors import InputError
from autorf.losses.distillation import distillation_sum, estimated_labels, hardest
from tests.losses import naive_distillation as naive

IGNORED = 255


def distillation(student: Tensor, teacher: Tensor, labels: Tensor, ignored: int, **settings: Any) -> Tensor:
    """The mean over the pixels that teach; 0 where there is none."""
    total, count = distillation_sum(student, teacher, labels, ignored, **settings)
    return total / count.clamp(min=1)


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Scores of student and teacher ``(2, 4, 5, 3)`` and labels, some of them ignored."""
    generator = torch.Generator().manual_seed(3)
    student, teacher = (3 * torch.randn(2, 4, 5, 3, generator=generator, dtype=dtype) for _ in range(2))
    labels = torch.randint(0, 4, (2, 5, 3), generator=generator)
    labels[0, 0], labels[1, 4, 2] = IGNORED, IGNORED
    return student.requires_grad_(), teacher, labels


@pytest.mark.parametrize("temperature", [0.7, 1.0, 4.0])
@pytest.mark.parametrize("top_k", [0, 4, 15])
def test_loss_and_gradient_are_those_of_a_loop_over_pixels(temperature: float, top_k: int) -> None:
    student, teacher, labels = batch()
    total, count = distillation_sum(student, teacher, labels, IGNORED, temperature=temperature, top_k=top_k)
    expected, pixels = naive.distillation(student, teacher, labels, IGNORED, temperature, top_k)
    assert count.item() == pixels
    torch.testing.assert_close(total, expected, rtol=1e-12, atol=1e-12)
    if pixels:
        (gradient,) = torch.autograd.grad(total, student)
        torch.testing.assert_close(gradient, *torch.autograd.grad(expected, student), rtol=1e-10, atol=1e-12)


def test_weights_of_classes_multiply_gradients_exactly_and_leave_the_loss_alone() -> None:
    student, teacher, labels = batch()
    weights = torch.tensor([1.0, 2.5, 0.0, 7.0], dtype=torch.float64)
    plain = distillation(student, teacher, labels, IGNORED, top_k=3)
    weighted = distillation(student, teacher, labels, IGNORED, top_k=3, class_weights=weights)
    assert weighted.item() == plain.item()
    (before,), (after,) = torch.autograd.grad(plain, student), torch.autograd.grad(weighted, student)
    factor = torch.where(labels == IGNORED, 0, weights[labels.where(labels != IGNORED, 0)])
    assert torch.equal(after, before * factor[:, None])


@pytest.mark.parametrize("top_k", [1, 7, 12])
def test_the_filter_takes_exactly_the_highest_pixels_of_each_image(top_k: int) -> None:
    _, teacher, labels = batch()
    chosen = hardest(teacher, labels, IGNORED, top_k)
    assert {tuple(place) for place in chosen.nonzero().tolist()} == naive.left_out(teacher, labels, IGNORED, top_k)
    assert chosen.flatten(1).sum(1).tolist() == [top_k, top_k]


def test_among_equal_pixels_no_more_than_k_are_left_out() -> None:
    chosen = hardest(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long), IGNORED, 5)
    assert chosen.sum().item() == 5


def test_pixels_that_are_left_out_have_no_gradient() -> None:
    student, teacher, labels = batch()
    distillation(student, teacher, labels, IGNORED, top_k=6).backward()
    assert student.grad is not None
    silent = hardest(teacher, labels, IGNORED, 6) | (labels == IGNORED)
    assert (student.grad.abs().sum(1) == 0).equal(silent)


def test_no_gradient_reaches_the_teacher() -> None:
    student, teacher, labels = batch()
    teacher.requires_grad_()
    distillation(student, teacher, labels, IGNORED, top_k=2).backward()
    assert teacher.grad is None


def test_nothing_is_left_to_learn_from_a_teacher_that_scores_alike() -> None:
    student, _, labels = batch()
    loss = distillation(student, student + 3, labels, IGNORED)
    assert abs(loss.item()) < 1e-12


def test_an_image_of_which_every_pixel_is_left_out_teaches_nothing_and_is_a_number() -> None:
    student, teacher, labels = batch()
    loss = distillation(student, teacher, torch.full_like(labels, IGNORED), IGNORED)
    loss.backward()
    assert loss.item() == 0
    assert student.grad is not None
    assert not student.grad.any()


def test_half_precision_is_summed_in_single() -> None:
    student, teacher, labels = batch(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        loss = distillation(student.bfloat16(), teacher.bfloat16(), labels, IGNORED)
    assert loss.dtype == torch.float32


def test_estimated_labels_read_no_class_of_the_mask() -> None:
    _, teacher, labels = batch()
    impossible = torch.full_like(labels, 99).masked_fill(labels == IGNORED, IGNORED)
    estimated = estimated_labels(teacher, impossible, IGNORED)
    assert estimated.equal(torch.where(labels == IGNORED, IGNORED, teacher.max(1).indices))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"temperature": 0.0}, "distill.temperature: must be above 0, got 0"),
        ({"temperature": float("nan")}, "distill.temperature: must be above 0, got nan"),
        ({"top_k": 16}, "distill.top_k: 16 pixels are to be left out of an image of 5 x 3 = 15; give 0 to 15"),
        ({"top_k": -1}, "distill.top_k: -1 pixels"),
    ],
)
def test_impossible_settings_are_refused_in_a_line(change: dict[str, float], line: str) -> None:
    student, teacher, labels = batch()
    with pytest.raises(InputError, match=line.replace(".", r"\.")):
        distillation(student, teacher, labels, IGNORED, **change)


def test_scores_of_other_classes_are_refused() -> None:
    student, teacher, labels = batch()
    with pytest.raises(InputError, match="both must score the same classes"):
        distillation(student, teacher[:, :3], labels, IGNORED)
