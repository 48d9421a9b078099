"""Saving and building again: the same methods, the same weights, or a refusal that shows the difference."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file
from safetensors.torch import save as tensor_bytes
from torch import nn

from autorf.errors import InputError
from autorf.files import write_atomically
from autorf.methods import Dilation, Inflation, LearnedDilation
from autorf.surgery import adapt, adaptations, advance, describe, freeze, load, save
from autorf.surgery.swap import region_at

from .conftest import Branching

UNET = partial(smp.Unet, "resnet18", encoder_weights=None, decoder_channels=(32, 16, 16, 8, 8))
METHODS = (LearnedDilation(targets=r"first|third", shared=True), Inflation(start="second", end="second"))


def build():
    return Branching().eval()


@pytest.fixture
def adapted(branching):
    adapt(branching, *METHODS)
    advance(branching, 10, 100)
    branching.first.mu = branching.third.mu = 1.1
    with torch.no_grad():
        region_at(branching.second).factor.fill_(1.5)
    advance(branching, 11, 100)
    return branching


@pytest.fixture
def folder(adapted, tmp_path):
    return save(adapted, tmp_path / "deep" / "model")


def test_a_saved_model_is_two_files(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["autorf.json", "model.safetensors"]
    assert "first.bookkeeping" in load_file(folder / "model.safetensors")


def test_a_loaded_model_goes_on_where_the_saved_one_stopped(adapted, folder, image):
    loaded = load(build, folder)
    assert torch.equal(loaded(image), adapted(image))
    assert describe(loaded) == describe(adapted)
    assert adaptations(loaded) == adaptations(adapted)
    assert loaded.first.group == (loaded.first, loaded.third)
    for model in (loaded, adapted):
        advance(model, 90, 100)
    assert torch.equal(loaded(image), adapted(image))


def test_a_frozen_model_is_loaded_as_plain_layers(adapted, image, tmp_path):
    advance(adapted, 100, 100)
    freeze(adapted)
    loaded = load(build, save(adapted, tmp_path))
    assert type(loaded.first) is nn.Conv2d
    assert torch.equal(loaded(image), adapted(image))
    assert adaptations(loaded) == adaptations(adapted)
    again = load(build, save(loaded, tmp_path))
    assert torch.equal(again(image), adapted(image))


def test_adaptations_made_inside_a_part_are_rebuilt(adapted, image, tmp_path):
    whole = nn.Sequential(adapted, nn.Conv2d(5, 2, 1))
    loaded = load(lambda: nn.Sequential(build(), nn.Conv2d(5, 2, 1)), save(whole, tmp_path))
    assert torch.equal(loaded(image), whole(image))


def test_a_dilated_smp_model_keeps_its_dilations_unlike_smps_own_saving(tmp_path):
    model = adapt(UNET().eval(), Dilation(targets=r"encoder\.layer4\.1\.conv\d", rate=3))
    image = torch.randn(1, 3, 64, 64)
    model.save_pretrained(tmp_path / "smp")
    theirs = smp.from_pretrained(tmp_path / "smp").eval()
    ours = load(UNET, save(model, tmp_path / "ours")).eval()
    assert theirs.encoder.layer4[1].conv1.dilation == (1, 1)
    assert ours.encoder.layer4[1].conv1.dilation == (3, 3)
    assert torch.equal(ours(image), model(image))


def test_a_model_that_was_never_adapted_can_be_saved_too(branching, image, tmp_path):
    assert torch.equal(load(build, save(branching, tmp_path))(image), branching(image))


def test_the_precision_of_the_weights_comes_back(adapted, tmp_path):
    loaded = load(build, save(adapted.to(torch.bfloat16), tmp_path))
    assert {key: value.dtype for key, value in loaded.state_dict().items()} == {
        key: value.dtype for key, value in adapted.state_dict().items()
    }


def test_tied_weights_are_saved_and_stay_tied(image, tmp_path):
    def tied():
        model = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1))
        model[1].weight = model[0].weight
        return model

    model = adapt(tied(), Dilation(targets=("1",), rate=2))
    loaded = load(tied, save(model, tmp_path))
    assert loaded[0].weight is loaded[1].weight
    assert torch.equal(loaded(image), model(image))


def test_saving_again_replaces_the_files_whole(adapted, folder, image):
    with torch.no_grad():
        adapted.head.bias.add_(1)
    save(adapted, folder)
    assert torch.equal(load(build, folder)(image), adapted(image))


NEW_PROCESS = """
import sys, torch
import segmentation_models_pytorch as smp
from autorf.surgery import load
torch.set_num_threads(1)
build = lambda: smp.Unet("resnet18", encoder_weights=None, decoder_channels=(32, 16, 16, 8, 8))
model = load(build, sys.argv[1]).eval()
assert torch.equal(model(torch.load(sys.argv[2])), torch.load(sys.argv[3])), "another output"
print(model.encoder.layer4[1].conv1)
"""


def test_a_model_is_the_same_in_a_new_process(tmp_path):
    model = adapt(UNET().eval(), Dilation(targets=r"encoder\.layer4\.1\.conv\d", rate=3))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.save(image, tmp_path / "image.pt")
        torch.save(model(image), tmp_path / "scores.pt")
    arguments = [save(model, tmp_path / "model"), tmp_path / "image.pt", tmp_path / "scores.pt"]
    done = subprocess.run([sys.executable, "-c", NEW_PROCESS, *arguments], capture_output=True, text=True)
    assert "dilation=(3, 3)" in done.stdout, done.stderr


def _edit(folder, change):
    path = folder / "autorf.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


SIDECARS = {
    "of another version": (lambda v: v.update(version=2), r"autorf.json: has version 2 \(written by autorf 0"),
    "without a version": (lambda v: v.pop("version"), "has version None"),
    "foreign": (lambda v: v.pop("format"), "not a record of autorf.save"),
    "with an unknown key": (lambda v: v.update(extra=1), "extra: unknown key"),
    "with an unknown method": (
        lambda v: v["adaptations"][0]["method"].update(method="inflatoin"),
        "did you mean inflation",
    ),
    "with a wrong field": (lambda v: v["adaptations"][1]["method"].update(factor=-1), "inflation: factor: must be"),
    "with a missing layer": (
        lambda v: v["adaptations"][0].update(names=["frist"]),
        r"the layer 'frist' is missing in the model of build\(\), a Branching .*did you mean first",
    ),
    "with a strided layer": (lambda v: v["adaptations"][0].update(names=["stem.0"]), "layer 'stem.0' has stride"),
    "with half a region": (lambda v: v["adaptations"][1].update(names=["second"]), "inflation needs two names"),
    "with a wrong plain form": (
        lambda v: v["adaptations"][0].update(frozen={"first": {"factor": 2.0}}),
        "the frozen form of 'first' is no convolution",
    ),
    "with fewer adaptations": (lambda v: v["adaptations"].pop(0), "saved absent|absent, saved"),
}


@pytest.mark.parametrize("case", SIDECARS)
def test_a_record_that_cannot_be_right_is_refused(folder, case):
    change, words = SIDECARS[case]
    _edit(folder, change)
    with pytest.raises(InputError, match=words) as raised:
        load(build, folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\x80\x04\x95", b"[1, 2]", b'"text"', b"null", b'{"format": "hf"}'])
def test_a_corrupt_or_foreign_record_is_refused(folder, content):
    (folder / "autorf.json").write_bytes(content)
    with pytest.raises(InputError, match=r"autorf.json: (cannot be read as JSON|not a record of autorf.save)"):
        load(build, folder)


def test_a_missing_file_is_named(folder, tmp_path):
    with pytest.raises(InputError, match=r"nowhere/autorf.json: no such file; a saved model is a folder written by"):
        load(build, tmp_path / "nowhere")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model.safetensors: no such file"):
        load(build, folder)


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_that_are_a_pickle_are_refused_unread(adapted, folder, zipped):
    torch.save(adapted.state_dict(), folder / "model.safetensors", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"model.safetensors: is a pickle \(torch.save\), which can run code"):
        load(build, folder)


def test_a_header_that_begins_like_a_pickle_is_no_pickle(tmp_path):
    for length in range(1, 400, 4):
        model = nn.ParameterDict({"n" * length: nn.Parameter(torch.zeros(1))})
        if (save(model, tmp_path) / "model.safetensors").read_bytes()[:1] == b"\x80":
            break
    assert Path(tmp_path / "model.safetensors").read_bytes()[:1] == b"\x80"
    assert isinstance(load(lambda: model, tmp_path), nn.ParameterDict)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:100], lambda b: b"", lambda b: b[:-1] + b"\xff"])
def test_damaged_weights_are_refused(folder, damage):
    path = folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"is damaged, or (not the file|no safetensors file)"):
        load(build, folder)


@pytest.mark.parametrize("first_save", [True, False])
def test_a_save_that_is_killed_between_its_files_leaves_a_whole_model(
    adapted, folder, tmp_path, image, monkeypatch, first_save
):
    def killed(path, content):
        if path.name == "autorf.json":
            raise KeyboardInterrupt
        write_atomically(path, content)

    place = tmp_path / "new" if first_save else folder
    model = adapt(build(), Dilation(targets=("first",), rate=2))
    monkeypatch.setattr("autorf.surgery.storage.write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        save(model, place)
    loaded = load(build, place)
    assert describe(loaded) == describe(model)
    assert torch.equal(loaded(image), model(image))


def test_weights_of_another_program_are_refused(adapted, folder):
    (folder / "model.safetensors").write_bytes(tensor_bytes(dict(build().state_dict())))
    with pytest.raises(InputError, match=r"is damaged, or not the file that autorf.json was written with"):
        load(build, folder)


def _wider():
    model = build()
    model.head = nn.Conv2d(8, 7, 1)
    return model


def _more():
    model = build()
    model.extra = nn.BatchNorm2d(2)
    return model


def _dilated():
    model = build()
    model.third.dilation, model.stem[0].stride = (2, 2), (1, 1)
    return model


def _strided():
    model = build()
    model.stem[0].stride = (1, 1)
    return model


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (_wider, r"head.weight is \(7, 8, 1, 1\), saved \(5, 8, 1, 1\); head.bias is \(7,\), saved \(5,\)$"),
        (_more, r"extra.weight is \(2,\), saved absent; .*; and 2 more$"),
        (_dilated, "layer 'third' changes the map's size"),
        (
            _strided,
            "stem.0 is kernel_size 3x3, stride 1x1, padding 1x1, dilation 1x1, saved kernel_size 3x3, stride 2x2",
        ),
        (lambda: adapt(build(), METHODS[0]), r"build\(\) returned an adapted model, and not as the saved one was"),
        (lambda: None, r"build\(\) must return a module, it returned a NoneType"),
    ],
)
def test_a_fresh_model_that_differs_is_refused_with_the_difference(folder, other, words):
    with pytest.raises(InputError, match=words):
        load(other, folder)


def test_a_method_that_no_one_could_load_is_not_saved(branching, tmp_path):
    class Own(Dilation):
        """Not registered."""

    adapt(branching, Own(targets=("first",), rate=2))
    with pytest.raises(InputError, match=r"no one could load the method 'dilation'; register its class first"):
        save(branching, tmp_path)
    assert list(tmp_path.iterdir()) == []


class Counts(nn.Module):
    def get_extra_state(self):
        return {"calls": 3}

    def set_extra_state(self, state):
        raise NotImplementedError


def test_state_that_is_no_tensor_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"'0._extra_state' is a dict; safetensors holds tensors only"):
        save(nn.Sequential(Counts()), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_loaded_region_is_bounded_by_memory_as_the_saved_one_was(branching, tmp_path):
    model = adapt(branching, Inflation(start="second", end="second"))
    region_at(model.second).values_per_position = 12.5
    loaded = load(Branching, save(model, tmp_path / "model"))
    assert region_at(loaded.second).values_per_position == 12.5
