"""The modules at a region's ends: classes and keys as they were, copies and pickles, and passes that run again."""

import copy
import inspect
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from autorf.errors import InputError
from autorf.methods import Inflation, passes
from autorf.methods.region_ends import RegionEnd, ends_of
from autorf.surgery import adapt, advance, freeze
from autorf.surgery.swap import region_at

from .conftest import everything


def inflated(model, **fields):
    adapt(model, Inflation(start="second", end="second", **fields))
    with torch.no_grad():
        region_at(model.second).factor.fill_(1.5)
    return model


def test_an_end_is_still_of_the_class_it_was_and_keeps_its_keys(branching):
    keys, modules = set(branching.state_dict()), [id(module) for module in branching.modules()]
    inflated(branching)
    assert isinstance(branching.second, nn.Conv2d)
    assert (type(branching.second).__name__, type(branching.second).__module__) == ("Conv2d", nn.Conv2d.__module__)
    assert keys < set(branching.state_dict())
    own = {f"second.inflation.{name}" for name in ("factor", "bookkeeping", "milestones")}
    assert set(branching.state_dict()) - keys == own
    assert set(modules) < {id(module) for module in branching.modules()}
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in branching.modules())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_has_a_region_of_its_own(branching, image, copied):
    before = inflated(branching)(image)
    twin = copied(branching)
    assert torch.equal(twin(image), before)
    assert isinstance(twin.second, RegionEnd)
    assert twin.second.inflation is ends_of(twin.second).enters is ends_of(twin.second).leaves
    with torch.no_grad():
        region_at(twin.second).factor.fill_(3.0)
    assert torch.equal(branching(image), before)
    freeze(twin)
    assert torch.equal(branching(image), before)


class PicklesItself(nn.Conv2d):
    def __reduce__(self):
        return nn.Conv2d, (8, 8, 3)


def test_a_module_that_pickles_itself_in_a_way_of_its_own_is_not_copied_without_its_region(branching):
    branching.second = PicklesItself(8, 8, 3, padding=1)
    with pytest.raises(InputError, match="a PicklesItself at the end of a region cannot be copied"):
        copy.deepcopy(inflated(branching))


def test_a_module_whose_forward_was_replaced_is_no_end(branching):
    branching.second.forward = branching.second.forward
    before = everything(branching)
    with pytest.raises(InputError, match="a Conv2d whose forward was replaced; adapt the model first"):
        adapt(branching, Inflation(start="second", end="second"))
    assert everything(branching) == before


def test_a_part_of_a_region_that_runs_alone_is_refused(image):
    model = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 2, 1))
    adapt(model, Inflation(start="0", end="1"))
    with pytest.raises(InputError, match="the end of an inflated region ran without its start"):
        model[1](image)


def test_a_region_that_folds_sees_the_image_through_the_model(image):
    class Upsampled(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 1))

        def forward(self, image, scale=1):
            return nn.functional.interpolate(self.net(image[:, :, ::2, ::2]), size=image.shape[2:])

    model = adapt(Upsampled(), Inflation(start="net.0", end="net.1", fold=True))
    assert type(model).__name__ == "Upsampled"
    assert list(inspect.signature(model.forward).parameters) == ["image", "scale"]
    assert model(image).shape[2:] == image.shape[2:]


def blocks(**fields):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)]
    return adapt(nn.Sequential(*layers, nn.Conv2d(4, 2, 1)), Inflation(start="1", end="2", **fields)).train()


def passed(model, image, **options):
    """The model with a checkpoint around either end of its region."""
    maps = model[0](image)
    for block in (model[1], model[2]):
        maps = checkpoint(block, maps, **options)
    return model[3](maps)


def gradient(model, forward, image, n=1):
    """Of ``f`` or of the factors that were drawn, and of the first weight, over ``n`` passes and then one way back."""
    torch.manual_seed(1)
    sum(forward(model, image * (at + 1)).square().mean() for at in range(n)).backward()
    region = region_at(model[1])
    drawn = [variable.grad for _, variable in getattr(region, "_drawn", [])]
    return [value for value in (region.factor.grad, *drawn, model[0].weight.grad) if value is not None]


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("fields", [{}, {"search": 0.5}])
def test_what_runs_again_sees_the_factor_of_its_own_pass(image, fields, reentrant, n):
    plain, again = blocks(**fields), blocks(**fields)
    for model in (plain, again):
        advance(model, 0, 10)
    due = gradient(plain, lambda model, image: model(image), image, n)
    got = gradient(again, lambda model, image: passed(model, image, use_reentrant=reentrant), image, n)
    assert len(got) == len(due)
    # Torch takes passes in the opposite order on the way back, and so does a search that hears of them there.
    in_order = sorted(value.flatten().tolist() for value in got)
    for value, other in zip(in_order, sorted(value.flatten().tolist() for value in due), strict=True):
        assert value == pytest.approx(other, rel=1e-4, abs=1e-7)


def test_passes_of_which_several_would_fit_are_refused(image):
    model = blocks(search=0.5)
    advance(model, 0, 10)
    outputs = [passed(model, image, use_reentrant=False, preserve_rng_state=False) for _ in range(2)]
    torch.manual_seed(5)
    with pytest.raises(InputError, match=r"it is not known of which forward pass .*preserve_rng_state=True"):
        outputs[0].sum().backward()


def test_a_clipped_gradient_cannot_be_taken_apart(image):
    model = blocks(clip=0.1)
    with pytest.raises(InputError, match="set use_reentrant=False"):
        passed(model, image, use_reentrant=True).square().sum().backward()
    passed(model, image, use_reentrant=False).square().sum().backward()


def test_passes_are_neither_kept_in_evaluation_nor_copied(image):
    model = blocks()
    with torch.no_grad():
        model.eval()(image)
    region = region_at(model[1])
    assert len(region.passes._kept) == 0
    for _ in range(passes.KEPT + 3):
        model(image)
    assert len(region.passes._kept) == passes.KEPT
    assert len(copy.deepcopy(model)[1].inflation.passes._kept) == 0


def test_a_graph_of_the_plain_network_is_not_used_for_the_inflated_one(image):
    torch.compiler.reset()
    model = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))).eval()
    run = torch.compile(model, backend="eager")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(image)
        adapt(model, Inflation(start="1", end="2", factor=2.0))
        torch.testing.assert_close(run(image), model(image))
        freeze(model)
        torch.testing.assert_close(run(image), model(image))
    torch.compiler.reset()
