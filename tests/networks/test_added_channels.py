"""A map of landmarks as a further channel: nothing at first, then learnt a hundred times as fast."""

import pytest
import torch
from torch import nn

import autorf
from autorf.errors import InputError
from autorf.networks import ModelSpec, build
from autorf.networks.added_channels import AddedChannels, with_added_channels
from autorf.study.spec import parse_study

NAMES = ["largefov:resnet18", "paper:student", "smp:Unet:resnet18"]


@pytest.mark.parametrize("name", NAMES)
def test_at_first_the_network_is_what_it_was_without_them(name):
    torch.manual_seed(0)
    plain = build(ModelSpec(name=name), 5, 3).eval()
    model = build(ModelSpec(name=name, added_channels=1), 5, 4).eval()
    missing, unknown = model.load_state_dict(plain.state_dict(), strict=False)
    assert unknown == []
    assert [key.rpartition(".")[2] for key in missing] == ["added_weight"]
    image = torch.rand(1, 4, 64, 64)
    with torch.no_grad():
        ours, theirs = model(image), plain(image[:, :3])
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_their_weights_alone_learn_a_hundred_times_as_fast_and_without_decay():
    model = build(ModelSpec(name="largefov:resnet18", added_channels=1), 5, 4)
    first = next(module for module in model.modules() if isinstance(module, AddedChannels))
    groups = autorf.parameter_groups(model, 1e-3)
    assert [(len(group["params"]), group["lr"]) for group in groups[1:]] == [(1, 0.1)]
    assert groups[1]["params"][0] is first.added_weight
    assert groups[1]["weight_decay"] == 0
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_they_learn_from_the_map():
    torch.manual_seed(0)
    model = nn.Sequential(with_added_channels(nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)), 1, "it"))
    optimizer = torch.optim.SGD(autorf.parameter_groups(model, 1e-3), lr=1e-3)
    image = torch.rand(8, 4, 16, 16)
    mask = (image[:, 3] > 0.5).long()
    losses = []
    for _ in range(200):
        loss = nn.functional.cross_entropy(model(image), mask)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]


def test_the_field_is_the_convolutions():
    fields = [
        autorf.receptive_field(
            build(ModelSpec(name="paper:student", added_channels=n), 5, 3 + n), (64, 64), in_channels=3 + n
        )
        for n in (0, 1)
    ]
    assert fields[0].size == fields[1].size


def test_a_network_that_begins_otherwise_is_refused():
    with pytest.raises(
        InputError, match=r"model.added_channels: it does not begin with a plain convolution \(there is"
    ):
        with_added_channels(nn.Sequential(nn.Linear(3, 3)), 1, "it")
    grouped = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2))
    with pytest.raises(InputError, match=r"plain convolution \(0 is a Conv2d\)"):
        with_added_channels(grouped, 1, "it")


@pytest.mark.parametrize(("added", "channels"), [(3, 3), (4, 3)])
def test_some_channel_must_be_the_networks_own(added, channels):
    with pytest.raises(
        InputError, match=f"model.added_channels: {added} of the images' {channels} channels leave none"
    ):
        build(ModelSpec(name="paper:student", added_channels=added), 5, channels)


def study(model: dict[str, object], heat_map: bool) -> dict[str, object]:
    return {
        "name": "faces",
        "data": {"name": "helen", "root": "x", "landmarks": {"root": "x", "heat_map": heat_map}},
        "model": {"name": "paper:student", **model},
        "search_space": ["dilation"],
    }


def test_images_with_a_map_need_weights_for_it_and_the_other_way_round():
    assert parse_study(study({"added_channels": 1}, True), "s.yaml").model.added_channels == 1
    with pytest.raises(InputError, match=r"s.yaml: data.landmarks.heat_map: gives images a fourth channel; set model"):
        parse_study(study({}, True), "s.yaml")
    with pytest.raises(InputError, match=r"s.yaml: model.added_channels: images have three channels; set data"):
        parse_study(study({"added_channels": 1}, False), "s.yaml")
