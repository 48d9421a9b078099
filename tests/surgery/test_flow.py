"""Which values are computed from which."""

import torch
from torch import nn

from autorf.surgery.flow import Flow


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)
        self.register_buffer("grid", torch.ones(1, 2, 4, 4))

    def forward(self, image):
        left = self.left(image).relu_()
        return left + self.right(image).mean((2, 3), keepdim=True) + self.grid * 2


def _recorded():
    model, image = Small(), torch.randn(1, 3, 4, 4)
    flow = Flow(model)
    with flow.named_modules(model), torch.no_grad(), flow:
        flow.begin(image)
        output = model(image)
    return flow, output, model


def test_every_step_names_the_module_it_runs_in():
    flow, _, _ = _recorded()
    assert [step.module for step in flow.steps] == ["", "left", "", "right", "", "", ""]


def test_values_that_do_not_depend_on_the_input_are_left_out():
    flow, output, _ = _recorded()
    assert flow.steps_of(output) == {6}
    assert flow.above({6}) == set(range(7))
    assert flow.steps[6].reads == (5,)


def test_branches_are_told_apart_and_in_place_operators_followed():
    flow, _, _ = _recorded()
    assert flow.below(1) == {1, 2, 5, 6}
    assert flow.above({2}) == {0, 1, 2}


def test_a_global_vector_is_no_map():
    flow, _, _ = _recorded()
    assert [step.is_map for step in flow.steps] == [True, True, True, True, False, True, True]


def test_no_hook_is_left_behind():
    _, _, model = _recorded()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
