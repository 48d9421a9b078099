"""States of before ``adapt``, of the search and of after ``freeze`` are told apart."""

import copy

import lightning
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from autorf.errors import InputError
from autorf.methods import Inflation, LearnedDilation
from autorf.surgery import adapt, advance, freeze, load, plain_state_dict, save
from autorf.surgery.state_mark import MARK
from autorf.surgery.swap import region_at

from .conftest import Branching

METHODS = (
    LearnedDilation(targets=("first", "third"), rates=(3, 4), shared=False),
    Inflation(start="second", end="second", factor=1.5),
)


def finished(*methods):
    torch.manual_seed(0)
    model = adapt(Branching().eval(), *(methods or METHODS))
    for step in range(11):
        advance(model, step, 10)
    return model


def frozen(*methods):
    model = finished(*methods)
    freeze(model)
    return model


def test_freeze_leaves_one_whole_number_that_no_cast_touches():
    model = frozen()
    (key,) = set(model.state_dict()) - set(Branching().state_dict())
    assert key == MARK
    assert model.half().state_dict()[MARK].dtype == torch.int64


def test_a_plain_state_has_the_keys_of_the_original_and_fits_a_plain_network():
    model = frozen()
    assert list(plain_state_dict(model)) == list(Branching().state_dict())
    Branching().load_state_dict(plain_state_dict(model), strict=True)
    with pytest.raises(InputError, match=r"'first' is a LearnedDilationConv2d, no plain layer; call autorf.freeze"):
        plain_state_dict(finished())


@pytest.mark.parametrize(
    ("state", "model", "words"),
    [
        (frozen, Branching, MARK),
        (
            frozen,
            finished,
            "autorf: this state is of a frozen model .* and this model is not frozen: load it by autorf.load",
        ),
        (finished, frozen, "autorf: this state is of the adapted model before autorf.freeze"),
        (finished, Branching, r"first\.bookkeeping"),
        (Branching, frozen, MARK),
        (
            frozen,
            lambda: frozen(METHODS[0], Inflation(start="second", end="second", factor=2.0)),
            "frozen at other values",
        ),
    ],
)
def test_a_state_that_does_not_belong_is_refused(state, model, words):
    with pytest.raises(RuntimeError, match=words):
        model().load_state_dict(state().state_dict(), strict=True)


def test_a_state_that_belongs_is_taken(image):
    model, other = frozen(), frozen()
    with torch.no_grad():
        model.head.weight.add_(1)
    other.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(other(image), model(image))


def test_a_state_in_a_larger_one_is_refused_too():
    whole, plain = nn.ModuleDict({"net": frozen()}), nn.ModuleDict({"net": finished()})
    with pytest.raises(RuntimeError, match="this model is not frozen"):
        plain.load_state_dict(whole.state_dict())


def test_not_strict_does_not_take_a_frozen_state_for_a_searching_one():
    with pytest.raises(RuntimeError, match="this model is not frozen"):
        finished().load_state_dict(frozen().state_dict(), strict=False)


def test_copies_of_frozen_models_refuse_too():
    with pytest.raises(RuntimeError, match=r"before autorf.freeze"):
        copy.deepcopy(frozen()).load_state_dict(finished().state_dict())


def test_a_saved_folder_of_before_the_mark_still_loads(tmp_path, image, monkeypatch):
    model = frozen()
    del model._buffers[MARK]
    loaded = load(lambda: Branching().eval(), save(model, tmp_path))
    assert torch.equal(loaded(image), model(image))
    assert MARK in loaded.state_dict()
    loaded.load_state_dict(frozen().state_dict(), strict=True)


def test_the_mark_of_a_part_stays_where_it_was(tmp_path):
    whole = nn.Sequential(frozen())
    loaded = load(lambda: nn.Sequential(Branching()), save(whole, tmp_path))
    assert list(loaded.state_dict()) == list(whole.state_dict())


def adapting():
    return adapt(Branching().eval(), *METHODS)


@pytest.mark.parametrize("make", [finished, frozen])
def test_a_builder_that_adapts_itself_gives_the_saved_model(make, tmp_path, image):
    model = make()
    loaded = load(adapting, save(model, tmp_path))
    assert torch.equal(loaded(image), model(image))
    assert list(loaded.state_dict()) == list(model.state_dict())


def test_a_builder_that_adapts_itself_otherwise_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"not as the saved one was adapted: learned_dilation of third, saved learned_"
    ):
        load(lambda: adapt(Branching(), LearnedDilation(targets=("third",))), save(finished(), tmp_path))


def test_a_part_of_a_model_that_was_adapted_as_a_whole_is_not_saved_alone(tmp_path):
    whole = nn.ModuleDict({"net": Branching()})
    adapt(whole, LearnedDilation(targets=("net.first",)))
    advance(whole, 1, 1)
    for _ in range(2):
        with pytest.raises(InputError, match="'first' was changed by learned_dilation when a larger model was adapted"):
            save(whole.net, tmp_path)
        freeze(whole)
    assert not list(tmp_path.iterdir())


def test_tied_tensors_go_into_safetensors_and_back(tmp_path):
    from safetensors.torch import load_model, save_model

    model = frozen()
    model.third.weight = model.first.weight
    save_model(model, str(tmp_path / "tied.safetensors"))
    other = frozen()
    other.third.weight = other.first.weight
    load_model(other, str(tmp_path / "tied.safetensors"))
    assert torch.equal(other.first.weight, model.first.weight)
    with pytest.raises(RuntimeError, match="this model is not frozen"):
        load_model(finished(), str(tmp_path / "tied.safetensors"), strict=False)


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = adapting()

    def training_step(self, batch, index):
        return self.net(batch[0]).square().mean()

    def validation_step(self, batch, index):
        self.log("loss", self.net(batch[0]).square().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.net.parameters(), lr=0.0)


@pytest.mark.filterwarnings("ignore")
def test_lightnings_best_checkpoint_after_freeze_is_refused_with_the_order(tmp_path):
    module, loader = Module(), DataLoader(TensorDataset(torch.rand(4, 3, 16, 16)), batch_size=2)
    keep = lightning.pytorch.callbacks.ModelCheckpoint(tmp_path, monitor="loss")
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, callbacks=[keep], enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, loader, loader)
    trainer.validate(module, loader, ckpt_path="best", verbose=False)
    advance(module, 1, 1)
    freeze(module)
    with pytest.raises(RuntimeError, match=r"before autorf.freeze: load it into the model before you freeze that"):
        trainer.validate(module, loader, ckpt_path="best", verbose=False)
    assert region_at(module.net.second).values()["f"] == 1.5
