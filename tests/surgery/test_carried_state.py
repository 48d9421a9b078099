"""Whatever copies, converts, averages or stores a model carries what its methods learned."""

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from autorf.errors import InputError
from autorf.methods import Inflation, LearnedDilation, PixelAdaptive, ScaleAdaptive
from autorf.methods.base import Method
from autorf.methods.bookkeeping import Record
from autorf.methods.recorded import Recorded
from autorf.surgery import adapt, advance, learned_values, parameter_groups, search_again

METHODS: dict[str, Method] = {
    "learned": LearnedDilation(targets=("2",), search=0.5),
    "shared": LearnedDilation(targets=("0", "2"), shared=True, search=0.5),
    "inflation": Inflation(start="2", end="2", hold=0.3),
    "searched": Inflation(start="2", end="2", search=0.5),
    "scale": ScaleAdaptive(targets=("2",)),
    "pixel": PixelAdaptive(targets=("2",)),
}
STEPS = 20


def adapted(method: str, **changed: object) -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 2, 1)
    model = nn.Sequential(*layers)
    adapt(model, METHODS[method].model_copy(update=changed))
    return model


def train(
    model: nn.Module,
    start: int,
    end: int,
    after: Callable[[nn.Module], object] = lambda _: None,
    optimizer: torch.optim.Optimizer | None = None,
) -> torch.optim.Optimizer:
    optimizer = optimizer or torch.optim.AdamW(parameter_groups(model, 1e-2))
    for step in range(start, end):
        advance(model, step, STEPS)
        torch.manual_seed(step)
        image = torch.rand(4, 3, 16, 16)
        loss = nn.functional.cross_entropy(model(image), (image.mean(1) > 0.5).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        after(model)
    return optimizer


def output(model: nn.Module) -> torch.Tensor:
    torch.manual_seed(9)
    with torch.no_grad():
        result: torch.Tensor = model.eval()(torch.rand(2, 3, 16, 16))
    return result


def records(model: nn.Module) -> list[Record]:
    return [module.record for module in model.modules() if isinstance(module, Recorded)]


def loaded(model: nn.Module, method: str) -> nn.Module:
    other, file = adapted(method), io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    return other


def copied_into(model: nn.Module, method: str) -> nn.Module:
    other = adapted(method)
    train(other, 0, 2)
    with torch.no_grad():
        for ours, theirs in zip(other.state_dict().values(), model.state_dict().values(), strict=True):
            ours.copy_(theirs)
    return other


CARRIERS: dict[str, Callable[[nn.Module, str], nn.Module]] = {
    "state_dict": loaded,
    "deepcopy": lambda model, _: copy.deepcopy(model),
    "pickle": lambda model, _: pickle.loads(pickle.dumps(model)),
    "copy_": copied_into,
}


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("steps", [0, 5, 15])
def test_a_copy_in_any_phase_computes_and_trains_on_as_its_original(carrier: str, method: str, steps: int) -> None:
    model = adapted(method)
    train(model, 0, steps)
    copied = CARRIERS[carrier](model, method)
    assert torch.equal(output(copied), output(model))
    for each in (model, copied):
        train(each.train(), steps, STEPS)
        advance(each, STEPS, STEPS)
    assert records(copied) == records(model)
    assert torch.equal(output(copied), output(model))


AVERAGES: dict[str, Callable[[nn.Module], tuple[nn.Module, Callable[[nn.Module], object]]]] = {
    "ModelEmaV3": lambda model: (lambda ema: (ema.module, ema.update))(ModelEmaV3(model, decay=0.9)),
    "EMA": lambda model: (lambda ema: (ema.module, ema.update_parameters))(
        AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    ),
    "EMA of buffers": lambda model: (lambda ema: (ema.module, ema.update_parameters))(
        AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    ),
    "SWA": lambda model: (lambda swa: (swa.module, swa.update_parameters))(AveragedModel(model)),
    "SWA of buffers": lambda model: (lambda swa: (swa.module, swa.update_parameters))(
        AveragedModel(model, use_buffers=True)
    ),
}


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("method", METHODS)
def test_an_average_made_before_training_is_in_the_models_phase_at_every_step(average: str, method: str) -> None:
    model = adapted(method)
    averaged, update = AVERAGES[average](model)

    def after(model: nn.Module) -> None:
        update(model)
        assert [record.phase for record in records(averaged)] == [record.phase for record in records(model)]
        if method in ("learned", "shared") and all(record.ended for record in records(model)):
            assert learned_values(averaged) == learned_values(model)

    train(model, 0, STEPS, after)
    assert torch.isfinite(output(averaged)).all()
    restored = loaded(averaged, method)
    assert torch.equal(output(restored), output(averaged))


def test_a_search_does_not_go_on_from_an_average_of_its_buffers() -> None:
    model = adapted("learned")
    averaged, update = AVERAGES["EMA of buffers"](model)
    train(model, 0, 5, update)
    with pytest.raises(InputError, match="cannot go on from an average of its states"):
        advance(averaged, 6, STEPS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("convert", [nn.Module.bfloat16, nn.Module.half, nn.Module.double])
def test_no_cast_changes_what_is_remembered(method: str, convert: Callable[[nn.Module], nn.Module]) -> None:
    model = adapted(method)
    train(model, 0, 7)
    advance(model, 7, STEPS)
    before = records(model)
    assert records(convert(model)) == before


def test_a_search_in_bfloat16_hears_every_image() -> None:
    model = adapted("learned", memory=1e6, search=1.0).bfloat16()
    for step in range(STEPS):
        advance(model, step, STEPS)
        model(torch.rand(32, 3, 30, 30, dtype=torch.bfloat16)).square().mean().backward()
    advance(model, STEPS, STEPS)
    # At this precision a few images have no difference at all, which counts as nothing.
    assert float(model[2].profile[0].sum()) == pytest.approx(32 * STEPS, rel=0.05)


@pytest.mark.parametrize("method", ["learned", "shared", "searched", "inflation"])
@pytest.mark.parametrize(("step", "total"), [(STEPS, 10 * STEPS), (0, STEPS), (1, 1000)])
def test_fixed_stays_fixed_until_it_is_asked_for(method: str, step: int, total: int) -> None:
    model = adapted(method)
    train(model, 0, STEPS)
    values = learned_values(model)
    advance(model, step, total)
    assert all(record.ended for record in records(model))
    assert learned_values(model) == values
    search_again(model)
    assert learned_values(model) == values
    advance(model, step, 10**6)
    assert not any(record.ended for record in records(model))


def test_a_window_never_widens_while_it_is_open() -> None:
    model = adapted("learned")
    advance(model, 5, STEPS)
    width = model[2].sigma
    advance(model, 5, 100 * STEPS)
    assert model[2].sigma == width


def test_a_second_search_begins_where_the_first_one_ended_and_knows_nothing_of_it() -> None:
    model = adapted("learned")
    train(model, 0, STEPS)
    layer = model[2]
    fixed = layer.rate
    advance(search_again(model), 0, STEPS)
    assert layer.searching
    assert layer.values()["dilation"] == pytest.approx(fixed)
    assert not layer.profile.any()
    before = layer.record
    assert records(loaded(model, "learned")) == [before]


def test_nothing_to_search_again_is_said() -> None:
    with pytest.raises(InputError, match="search_again: the model has no method that searches"):
        search_again(nn.Conv2d(3, 2, 3))


@pytest.mark.parametrize(
    ("method", "changed"),
    [
        ("learned", {"rates": (1, 2, 4)}),
        ("learned", {"rates": (1, 2, 3, 4, 5, 6, 8, 10, 14)}),
        ("searched", {"high": 3.0}),
        ("pixel", {"rates": (1, 2, 5)}),
    ],
)
def test_a_state_of_other_options_is_refused_in_one_line(method: str, changed: dict[str, object]) -> None:
    state = adapted(method).state_dict()
    with pytest.raises(InputError, match=r"2(\.inflation)?: its state is of (a search|another choice)") as caught:
        adapted(method, **changed).load_state_dict(state)
    assert "\n" not in str(caught.value)


def test_a_state_of_another_version_is_refused_in_one_line() -> None:
    state = adapted("learned").state_dict()
    state["2.bookkeeping"] = state["2.bookkeeping"].clone()
    state["2.bookkeeping"][0] *= 2
    with pytest.raises(InputError, match="2: its state has layout 4, this autorf reads layout 2"):
        adapted("learned").load_state_dict(state)


def test_a_step_reads_the_state_only_when_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted("learned")
    train(model, 0, 12)
    reads = []
    read = Recorded._read
    monkeypatch.setattr(Recorded, "_read", lambda self: reads.append(self) or read(self))
    train(model, 12, STEPS)
    assert reads == []
    with torch.no_grad():
        model[2].bookkeeping.add_(0)
    model(torch.rand(1, 3, 8, 8))
    assert reads == [model[2]]
