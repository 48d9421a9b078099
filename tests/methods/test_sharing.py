"""Several layers of learned dilation, images that explore, and what is preferred of options that are alike."""

import copy
import math
import pickle
from dataclasses import replace
from itertools import pairwise
from unittest import mock

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from autorf.errors import InputError
from autorf.methods import LearnedDilation, loss_profile
from autorf.methods.dilation_search import LearnedDilationConv2d
from autorf.methods.joint_draws import Draw
from autorf.ops.reference import blended_dilated_conv2d_reference
from autorf.surgery import adapt, advance, learned_values, parameter_groups, search_again, search_states

RATES = (1, 2, 3, 4, 6)
IMAGES = torch.rand(16, 2, 14, 14)


class Three(nn.Module):
    """Three convolutions, each behind the other or within a checkpoint."""

    def __init__(self, recomputed: bool = False, reentrant: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(2, 2, 3, padding=1) for _ in range(3))
        self.recomputed, self.reentrant = recomputed, reentrant

    def forward(self, image: Tensor) -> Tensor:
        for layer in self.layers:
            image = checkpoint(layer, image, use_reentrant=self.reentrant) if self.recomputed else layer(image)
            image = nn.functional.dropout(torch.tanh(image), 0.2)
        return image


def searching(shared: object, step: int = 0, *, model: nn.Module | None = None, **fields: object) -> nn.Module:
    torch.manual_seed(0)
    model = Three() if model is None else model
    method = LearnedDilation(targets=r"layers\.\d", rates=RATES, shared=shared, search=1.0, **fields)  # type: ignore[arg-type]
    adapt(model, method)
    advance(model, step, 100)
    return model


def layers_of(model: nn.Module) -> list[LearnedDilationConv2d]:
    return [module for module in model.modules() if isinstance(module, LearnedDilationConv2d)]


def drawn_of(model: nn.Module) -> list[tuple[list[int | None], Tensor]]:
    """What each layer drew in the one forward pass since the last step: the pair of every image, or None; the share."""
    return [layer._drawn[-1] for layer in layers_of(model)]


def set_profile(layer: LearnedDilationConv2d, differences: list[float], spread: float = 1e-3) -> None:
    profile = loss_profile.empty(len(RATES))
    for pair, difference in enumerate(differences):
        loss_profile.add(profile, [pair] * 2, torch.tensor([difference - spread, difference + spread]))
    layer.record = replace(layer.record, profile=tuple(profile.flatten().tolist()))


@pytest.mark.parametrize("shared", ["same_option", "then_each", "then_neighbours"])
def test_an_image_has_the_same_option_in_all_layers(shared: str) -> None:
    model = searching(shared)
    for _ in range(2):
        model(IMAGES)
    drawn = drawn_of(model)
    for before, after in pairwise(drawn):
        assert before[0] == after[0]
        assert torch.equal(before[1], after[1])
    assert len(set(drawn[0][1].tolist())) == len(IMAGES)
    # Another forward pass draws anew.
    first = layers_of(model)[0]._drawn
    assert not torch.equal(first[0][1], first[1][1])


@pytest.mark.parametrize("shared", [False, True])
def test_elsewhere_every_layer_draws_by_itself(shared: bool) -> None:
    model = searching(shared)
    model(IMAGES)
    drawn = drawn_of(model)
    assert not torch.equal(drawn[0][1], drawn[1][1])
    assert all(pair is not None for pairs, _ in drawn for pair in pairs)


def test_the_summed_slope_is_that_of_the_loss_along_the_common_dilation() -> None:
    # Linear layers: the loss of a common blend is a polynomial, whose derivative autograd knows.
    model = searching("same_option", window=50.0, final_window=50.0).double()
    model.forward = lambda image: nn.Sequential(*model.layers)(image)  # type: ignore[method-assign]
    images = IMAGES.double()
    loss = model(images).square().mean()
    loss.backward()
    drawn = drawn_of(model)
    pairs = [pair for pair in drawn[0][0] if pair is not None]
    common = drawn[0][1].detach().double().requires_grad_()
    output = images
    for layer in layers_of(model):
        output = blended_dilated_conv2d_reference(output, layer.weight, layer.bias, pairs, common, RATES)
    (slope,) = torch.autograd.grad(output.square().mean(), common)
    total = torch.stack([blend.grad for _, blend in drawn if blend.grad is not None]).sum(0)
    torch.testing.assert_close(total, slope.float(), rtol=1e-3, atol=1e-6)


def test_then_each_searches_one_dilation_and_then_each_its_own_from_there() -> None:
    model = searching("then_each", 20, start=2)
    first, second, third = layers_of(model)
    # Together the lowest of the sum is 3, while the second's own would be 1.
    for layer, differences in ((first, [-1, -1, 1, 1]), (second, [0.5, 0.5, 1, 1]), (third, [-1, -1, 1, 1])):
        set_profile(layer, differences)
    advance(model, 30, 100)
    assert [layer.values()["dilation"] for layer in (first, second, third)] == pytest.approx([3.0] * 3)
    advance(model, 55, 100)
    # What was heard along the common dilation is no profile of a layer alone.
    assert not any(layer.profile.any() for layer in (first, second, third))
    assert {layer.record.value for layer in (first, second, third)} == {3.0}
    model(IMAGES)
    drawn = drawn_of(model)
    assert not torch.equal(drawn[0][1], drawn[1][1])
    set_profile(second, [1.0, 1.0, 1.0, 1.0])
    advance(model, 58, 100)
    assert second.values()["dilation"] == pytest.approx(3.0)  # held: a few steps heard little
    advance(model, 70, 100)
    assert learned_values(model) == pytest.approx(
        {"dilation": 7 / 3, "dilation.1": 3, "dilation.2": 1, "dilation.3": 3}
    )
    assert len(search_states(model)) == 3


@pytest.mark.parametrize("prefer", ["lowest_loss", "smallest", "largest"])
def test_then_neighbours_keeps_each_within_one_option_of_the_common_one(prefer: str) -> None:
    model = searching("then_neighbours", 20, start=3, prefer=prefer)
    first, second, third = layers_of(model)
    set_profile(first, [-1, -1, 1, 1])
    advance(model, 30, 100)
    advance(model, 55, 100)
    set_profile(second, [1.0, 1.0, 1.0, 1.0])
    set_profile(third, [-1.0, -1.0, -1.0, -1.0])
    advance(model, 80, 100)
    assert [layer.nearest_option() for layer in (first, second, third)] == [3, 2, 4]
    # The common option is part of the state.
    copied = copy.deepcopy(model)
    copied.load_state_dict(model.state_dict())
    advance(copied, 100, 100)
    assert [layer.rate for layer in layers_of(copied)] == [3, 2, 4]


def test_one_at_a_time_an_image_explores_in_one_layer_at_the_others_current_choice() -> None:
    model = searching("one_at_a_time", 5)
    for layer, dilation in zip(layers_of(model), (1, 6, 3), strict=True):
        layer.mu = math.log(dilation)
    image = IMAGES[:12]
    model(image)
    drawn = drawn_of(model)
    explores = torch.tensor([[pair is not None for pair in pairs] for pairs, _ in drawn])
    assert explores.sum(0).tolist() == [1] * 12
    assert explores.sum(1).tolist() == [4, 4, 4]
    layer = layers_of(model)[1]
    output = layer(image)
    current = ~torch.tensor([pair is not None for pair in layer._drawn[-1][0]])
    plain = nn.functional.conv2d(image, layer.weight, layer.bias, padding=6, dilation=6)
    torch.testing.assert_close(output[current], plain[current])


def test_only_those_that_explore_are_heard() -> None:
    model = searching("one_at_a_time", 5, memory=1e6)
    model(IMAGES[:12]).square().mean().backward()
    advance(model, 6, 100)
    assert sum(float(layer.profile[0].sum()) for layer in layers_of(model)) == pytest.approx(12, rel=1e-6)


@pytest.mark.parametrize("shared", [False, True, "same_option", "one_at_a_time"])
@pytest.mark.parametrize("dilation", [1, 3, 6])
def test_a_share_of_the_images_explores_and_the_others_train_the_current_choice(shared: object, dilation: int) -> None:
    model = searching(shared, 5, explore=0.25, start=dilation)
    model(IMAGES)
    drawn = drawn_of(model)
    exploring = {image for pairs, _ in drawn for image, pair in enumerate(pairs) if pair is not None}
    assert len(exploring) == 4
    rest = torch.tensor([image for image in range(len(IMAGES)) if image not in exploring])
    layer = layers_of(model)[0]
    output = layer(IMAGES)
    rest = torch.tensor([image for image, pair in enumerate(layer._drawn[-1][0]) if pair is None])
    plain = nn.functional.conv2d(IMAGES, layer.weight, layer.bias, padding=dilation, dilation=dilation)
    torch.testing.assert_close(output[rest], plain[rest])
    for pairs, blend in drawn:
        assert len(blend) == sum(pair is not None for pair in pairs)


def test_an_image_at_the_current_choice_costs_one_convolution_and_one_that_explores_two() -> None:
    model = searching(False, 5, explore=0.25)
    layer = layers_of(model)[0]
    counted: list[int] = []
    plain_conv2d = nn.functional.conv2d

    def conv2d(input: Tensor, *arguments: object, **options: object) -> Tensor:
        counted.append(len(input))
        return plain_conv2d(input, *arguments, **options)  # type: ignore[arg-type]

    with mock.patch.object(nn.functional, "conv2d", conv2d):
        layer(IMAGES)
    exploring = sum(pair is not None for pair in layer._drawn[-1][0])
    assert exploring == len(IMAGES) // 4
    assert sum(counted) == len(IMAGES) + exploring


def test_a_batch_in_which_no_image_explores_is_at_the_current_choice_and_tells_nothing() -> None:
    model = searching(False, 5, explore=0.01, start=3)
    layer = layers_of(model)[0]
    image = IMAGES[:1].clone().requires_grad_()
    output = layer(image)
    assert layer._drawn[-1][0] == [None]
    assert torch.equal(output, nn.functional.conv2d(image, layer.weight, layer.bias, padding=3, dilation=3))
    output.square().mean().backward()
    assert layer.weight.grad is not None
    heard = layer.record.heard
    advance(model, 6, 100)
    assert layer.record.heard == heard


def test_the_share_holds_on_average_for_small_batches_and_the_places_are_spread() -> None:
    draws = [Draw.made(seed, 2, 0.25, 1) for seed in range(2000)]
    assert sum(float(draw.explores.sum()) for draw in draws) / 4000 == pytest.approx(0.25, abs=0.02)
    many = Draw.made(0, 1000, 0.1, 3)
    assert int(many.explores.sum()) == 100
    assert sorted((many.place[many.explores] * 100).long().tolist()) == list(range(100))
    assert many.layer[many.explores].bincount().tolist() in ([34, 33, 33], [33, 34, 33], [33, 33, 34])


def test_a_search_with_few_explorers_finds_a_teachers_dilation() -> None:
    torch.manual_seed(0)
    teacher = nn.Conv2d(1, 4, 3, padding=4, dilation=4, bias=False).requires_grad_(False)
    student = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False))
    adapt(student, LearnedDilation(targets=("0",), explore=0.25, start=1, search=0.5))
    optimizer = torch.optim.AdamW(parameter_groups(student, lr=1e-2))
    for step in range(300):
        advance(student, step, 300)
        image = torch.randn(8, 1, 24, 24)
        loss = (student(image) - teacher(image)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert learned_values(student) == {"dilation": 4.0}
    assert loss.item() < 1e-2


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("shared", ["same_option", "one_at_a_time"])
def test_what_runs_again_has_the_draws_of_the_first_time(shared: str, reentrant: bool) -> None:
    gradients = []
    for recomputed in (False, True):
        torch.manual_seed(0)
        model = searching(shared, explore=0.5, model=Three(recomputed, reentrant))
        images = [IMAGES.clone().requires_grad_(), IMAGES.flip(0).requires_grad_()]
        torch.manual_seed(1)
        # Both forward passes are done before either goes back.
        sum(model(image).square().mean() for image in images).backward()
        advance(model, 1, 100)
        gradients.append([*[parameter.grad for parameter in model.parameters()], *[im.grad for im in images]])
        heard = [layer.profile for layer in layers_of(model)]
        if not recomputed:
            plain = heard
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second)
    for before, after in zip(plain, heard, strict=True):
        torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-8)


def test_what_runs_again_at_other_random_numbers_is_refused() -> None:
    model = searching("same_option")
    layer = layers_of(model)[0]
    output = checkpoint(layer, IMAGES.clone().requires_grad_(), use_reentrant=True, preserve_rng_state=False)
    with pytest.raises(InputError, match="preserve_rng_state=True"):
        output.sum().backward()


def test_copies_draw_together_among_themselves() -> None:
    model = searching("same_option")
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        own = layers_of(copied)
        assert own[0].draws is own[2].draws
        assert own[0].draws is not layers_of(model)[0].draws
        assert own[1].companions == tuple(own)
        copied(IMAGES)
        assert torch.equal(drawn_of(copied)[0][1], drawn_of(copied)[2][1])


def test_a_layer_that_shares_nothing_is_copied_alone() -> None:
    assert [len(layer.companions) for layer in layers_of(searching(False))] == [1, 1, 1]
    assert [len(layer.companions) for layer in layers_of(searching("one_at_a_time"))] == [3, 3, 3]


@pytest.mark.parametrize("shared", ["then_each", "then_neighbours", "same_option", "one_at_a_time"])
def test_one_layer_has_nothing_to_share(shared: str) -> None:
    method = LearnedDilation(targets=("0",), rates=RATES, shared=shared, search=1.0, memory=1e6)  # type: ignore[arg-type]
    heard = []
    for given in (method, method.model_copy(update={"shared": False})):
        torch.manual_seed(0)
        model = adapt(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1)), given)
        for step in (45, 55):
            advance(model, step, 100)
            model(IMAGES).square().mean().backward()
        advance(model, 60, 100)
        heard.append(layers_of(model)[0].profile)
    assert torch.equal(*heard)
    assert heard[0][0].sum() == pytest.approx(2 * len(IMAGES))


def test_replicas_of_one_process_are_refused() -> None:
    model = searching(False, explore=0.5)
    replica = layers_of(model)[0]
    replica._is_replica = True  # as torch.nn.DataParallel marks them
    with pytest.raises(InputError, match="DistributedDataParallel instead of DataParallel"):
        replica(IMAGES)


def test_a_search_begun_anew_begins_at_one_dilation_again() -> None:
    model = searching("then_each", 20)
    for layer, dilation in zip(layers_of(model), (1, 4, 6), strict=True):
        layer.record = replace(layer.record, ended=True, value=dilation, progress=1.0)
    search_again(model)
    advance(model, 0, 100)
    assert [layer.nearest_option() for layer in layers_of(model)] == [1, 1, 1]
    assert all(layer.together for layer in layers_of(model))


@pytest.mark.parametrize(("prefer", "dilation"), [(None, 2), ("smallest", 2), ("largest", 4), ("lowest_loss", 3)])
def test_of_what_cannot_be_told_apart_the_preferred_option_is_fixed(prefer: str | None, dilation: int) -> None:
    model = searching(True, 50, **({} if prefer is None else {"prefer": prefer}))
    for layer in layers_of(model):
        set_profile(layer, [-1.0, -0.01, 0.01, 2.0], spread=0.5)
    advance(model, 60, 100)
    assert {layer.nearest_option() for layer in layers_of(model)} == {3}
    assert layers_of(model)[0].alike() == (2, 3, 4)
    advance(model, 100, 100)
    assert {layer.rate for layer in layers_of(model)} == {dilation}
    assert layers_of(model)[2].alike() == (2, 3, 4)


@pytest.mark.parametrize("prefer", ["smallest", "largest", "lowest_loss"])
def test_what_can_be_told_apart_leaves_no_choice(prefer: str) -> None:
    model = searching(False, 50, prefer=prefer)
    for layer in layers_of(model):
        set_profile(layer, [-1.0, -0.01, 0.01, 2.0], spread=1e-4)
    advance(model, 100, 100)
    assert [layer.rate for layer in layers_of(model)] == [3, 3, 3]


def test_settings_that_are_left_out_draw_what_they_always_drew() -> None:
    torch.manual_seed(3)
    order = (torch.randperm(16) + torch.rand(16, dtype=torch.float64)) / 16
    model = searching(False)
    torch.manual_seed(3)
    layer = layers_of(model)[0]
    layer(IMAGES)
    _, shares = layer._pairs()
    edges = torch.tensor([0.0, *shares], dtype=torch.float64).cumsum(0)
    at = (torch.searchsorted(edges, order, right=True) - 1).clamp(0, 3)
    assert layer._drawn[-1][0] == at.tolist()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shared": "each"}, "shared"),
        ({"explore": 0}, "explore"),
        ({"explore": 1.5}, "explore"),
        ({"prefer": "lowest"}, "'smallest', 'largest' or 'lowest_loss'"),
    ],
)
def test_a_wrong_setting_is_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LearnedDilation(**fields)  # type: ignore[arg-type]
