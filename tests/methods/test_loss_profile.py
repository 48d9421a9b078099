import math

import pytest
import torch

from autorf.methods import loss_profile


def test_differences_of_neighbours_sum_up_to_losses_where_they_are_known() -> None:
    profile = loss_profile.empty(6, torch.device("cpu"))
    assert loss_profile.lowest(profile) is None
    assert all(math.isnan(loss) for loss in loss_profile.losses(profile))
    loss_profile.add(profile, [1, 1, 2], torch.tensor([-1.0, -3.0, 0.5]))
    assert loss_profile.losses(profile)[1:4] == [0.0, -2.0, -1.5]
    assert [math.isnan(loss) for loss in loss_profile.losses(profile)] == [True, False, False, False, True, True]
    assert loss_profile.lowest(profile) == 2


def test_older_steps_fade_from_both_counts_and_sums() -> None:
    profile = loss_profile.empty(3, torch.device("cpu"))
    heard = profile.clone()
    loss_profile.add(heard, [0], torch.tensor([4.0]))
    loss_profile.renew(profile, heard, passed=math.log(2))
    assert profile[:, 0].tolist() == pytest.approx([0.5, 2.0])
    heard = profile.clone()
    loss_profile.add(heard, [0], torch.tensor([1.0]))
    loss_profile.renew(profile, heard, passed=0.0)
    assert loss_profile.losses(profile)[1] == pytest.approx(2.0)


def test_all_processes_take_in_what_each_heard_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    # Of two processes, the other one heard the same.
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda value: value.mul_(2))
    profile = torch.ones(2, 2, dtype=torch.float64)
    heard = profile.clone()
    loss_profile.add(heard, [1], torch.tensor([5.0]))
    loss_profile.renew(profile, heard, passed=0.0)
    assert profile.tolist() == [[1.0, 3.0], [1.0, 11.0]]
