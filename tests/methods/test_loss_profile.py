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


def test_older_steps_fade_from_both_counts_and_sums() -> None:
    profile = loss_profile.empty(3)
    loss_profile.add(profile, [0], torch.tensor([4.0]))
    profile = loss_profile.faded(profile, passed=math.log(2))
    assert profile[:, 0].tolist() == pytest.approx([0.5, 2.0])
    loss_profile.add(profile, [0], torch.tensor([1.0]))
    assert loss_profile.losses(profile)[1] == pytest.approx(2.0)
