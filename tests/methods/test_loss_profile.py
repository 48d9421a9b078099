import math

import pytest
import torch

from autorf.methods import loss_profile


def test_differences_of_neighbours_sum_up_to_losses_where_they_are_known() -> None:
    profile = loss_profile.empty(6)
    assert loss_profile.lowest(profile) is None
    assert all(math.isnan(loss) for loss in loss_profile.losses(profile))
    loss_profile.add(profile, [1, 1, 2], torch.tensor([-1.0, -3.0, 0.5]))
    assert loss_profile.losses(profile)[1:4] == [0.0, -2.0, -1.5]
    assert [math.isnan(loss) for loss in loss_profile.losses(profile)] == [True, False, False, False, True, True]
    assert loss_profile.lowest(profile) == 2


def test_older_steps_fade_from_counts_and_sums() -> None:
    profile = loss_profile.empty(3)
    loss_profile.add(profile, [0], torch.tensor([4.0]))
    profile = loss_profile.faded(profile, passed=math.log(2))
    assert profile[:, 0].tolist() == pytest.approx([0.5, 2.0, 8.0, 0.25])
    loss_profile.add(profile, [0], torch.tensor([1.0]))
    assert loss_profile.losses(profile)[1] == pytest.approx(2.0)


def test_the_standard_error_is_that_of_a_mean_whatever_has_faded() -> None:
    profile, measured = loss_profile.empty(3), torch.randn(200, dtype=torch.float64) + 1
    loss_profile.add(profile, [0] * 200, measured)
    expected = measured.var().item() / 200
    for _ in range(2):
        assert loss_profile.variances(profile) == [pytest.approx(expected), math.inf]
        profile = loss_profile.faded(profile, passed=3.0)


def profile_of(differences: list[float], spread: float, n: int = 100) -> torch.Tensor:
    """Pairs of mean ``differences``, each measured ``n`` times with the standard deviation ``spread``."""
    profile = loss_profile.empty(len(differences) + 1)
    for pair, difference in enumerate(differences):
        sides = torch.tensor([-spread, spread] * (n // 2), dtype=torch.float64)
        loss_profile.add(profile, [pair] * n, difference + sides)
    return profile


@pytest.mark.parametrize(
    ("differences", "spread", "alike"),
    [
        ([-1.0, -0.15, 0.15, 1.0], 1.0, range(1, 4)),
        ([-1.0, -0.05, 0.05, 1.0], 0.1, range(2, 3)),
        ([-0.05, 1.0, -0.99], 1.0, range(2)),  # the last is as low, but the one before it can be told apart
        ([0.13, 0.13, 0.13], 1.0, range(3)),  # errors add up in squares, differences as they are
    ],
)
def test_options_within_two_standard_errors_of_the_lowest_cannot_be_told_apart(
    differences: list[float], spread: float, alike: range
) -> None:
    assert loss_profile.alike(profile_of(differences, spread)) == alike


def test_what_was_tried_once_or_never_is_not_alike_and_what_was_not_kept_counts_as_certain() -> None:
    assert loss_profile.alike(loss_profile.empty(4)) == range(0)
    tried_once = loss_profile.empty(4)
    loss_profile.add(tried_once, [1], torch.tensor([-1.0]))
    assert loss_profile.alike(tried_once) == range(2, 3)
    earlier = torch.tensor(loss_profile.widened([5.0, 5.0, -0.001, 0.001])).view(loss_profile.ROWS, 2)
    assert loss_profile.alike(earlier) == range(1, 2)


def test_a_batch_in_which_nothing_was_tried_changes_no_profile() -> None:
    profile = loss_profile.empty(3)
    loss_profile.add(profile, [], torch.zeros(0))
    assert torch.equal(profile, loss_profile.empty(3))
