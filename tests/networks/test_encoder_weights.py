import warnings
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import adapt_input_conv
from torch import Tensor, nn

from autorf.errors import InputError
from autorf.networks import ModelSpec, build
from autorf.networks.encoder_match import match
from autorf.networks.encoder_weights import adapted_to, encoder_of, load_encoder_weights

NAME = "smp:Unet:tu-test_resnet"


def network(**args: int) -> nn.Module:
    return build(ModelSpec(name=NAME, args=args), 3)


def trained() -> dict[str, Tensor]:
    return {name: value + 1 for name, value in encoder_of(network()).state_dict().items() if value.is_floating_point()}


def renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same in the same order, under names that say nothing but each tensor's role."""
    return {f"stage{at}.{name.rpartition('.')[2]}": value for at, (name, value) in enumerate(weights.items())}


def loaded(path: Path, **args: int) -> tuple[dict[str, Tensor], str]:
    """The encoder's state, and the line that was said."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = build(ModelSpec(name=NAME, args=args, encoder_weights=path), 3)
    (line,) = [str(each.message) for each in caught if "encoder_weights" in str(each.message)]
    return encoder_of(model).state_dict(), line


@pytest.mark.parametrize("prefix", ["", "module.", "model.backbone."])
def test_weights_are_matched_by_name_whatever_stands_in_front(tmp_path: Path, prefix: str) -> None:
    weights = trained()
    path = tmp_path / "encoder.pth"
    torch.save({"state_dict": {f"{prefix}{name}": value for name, value in weights.items()}, "epoch": 3}, path)
    state, line = loaded(path)
    assert all(torch.equal(state[name], value) for name, value in weights.items())
    assert f"{len(weights)} of the encoder's {len(weights)} tensors by name" in line


def test_weights_under_other_names_are_matched_by_order_and_shape_and_the_classifier_is_left_out(
    tmp_path: Path,
) -> None:
    weights = trained()
    file = {**renamed(weights), "fc.weight": torch.zeros(10, 4), "fc.bias": torch.zeros(10)}
    torch.save(file, tmp_path / "other.pth")
    state, line = loaded(tmp_path / "other.pth")
    assert all(torch.equal(state[name], value) for name, value in weights.items())
    assert "tensors by order and shape, such as 'stage0.weight' for" in line
    assert "left out 2 such as 'fc.weight' of the file" in line


def test_a_file_that_fits_too_little_is_refused_with_the_first_differences_and_the_model_stays(tmp_path: Path) -> None:
    weights, model = trained(), network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    names = list(weights)
    few = {name: weights[name] for name in names[: round(0.85 * len(names))]}
    wider = {name: value.repeat_interleave(2, 0) for name, value in weights.items()}
    for file, said in ((few, f"at least 90% must: it lacks {names[len(few)]}"), (wider, r"against .* \[\d+")):
        save_file(file, tmp_path / "encoder.safetensors")
        with pytest.raises(InputError, match=f"(?s)model.encoder_weights: .* of the encoder's .*{said}"):
            load_encoder_weights(model, tmp_path / "encoder.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_a_file_lacks_of_a_tenth_is_told(tmp_path: Path) -> None:
    weights = trained()
    dropped = list(weights)[-1]
    save_file({name: value for name, value in weights.items() if name != dropped}, tmp_path / "most.safetensors")
    _, line = loaded(tmp_path / "most.safetensors")
    assert f"left '{dropped}' of the encoder at random" in line


@pytest.mark.parametrize("channels", [1, 2, 4, 7, 200])
def test_the_first_convolution_takes_other_channels_as_timm_has_it(tmp_path: Path, channels: int) -> None:
    kernel = torch.randn(8, 3, 3, 3)
    torch.testing.assert_close(adapted_to(kernel, channels), adapt_input_conv(channels, kernel))
    weights = trained()
    save_file(weights, tmp_path / "rgb.safetensors")
    state, line = loaded(tmp_path / "rgb.safetensors", in_channels=channels)
    first = next(name for name, value in weights.items() if value.dim() == 4)
    torch.testing.assert_close(state[first], adapt_input_conv(channels, weights[first]))
    assert f"the first convolution adapted from 3 to {channels} channels" in line


def test_batch_norms_tensors_are_never_swapped_for_one_another() -> None:
    """All four have one shape: an order by shape alone would take any for any."""
    norm = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).state_dict()
    order = ("0.weight", "0.bias", "1.running_var", "1.running_mean", "1.bias", "1.weight")
    swapped = {f"b{at}.{name[2:]}": norm[name] for at, name in enumerate(order)}
    assert not match(swapped, norm).is_enough


def test_a_file_that_would_run_code_or_is_none_is_refused(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "whole.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for name, said in (
        ("whole", "only code could make"),
        ("text", r"cannot be read as weights \(it is no file of torch.save, or a damaged one\); save them"),
        ("empty", "no mapping of names to tensors, only epoch"),
        ("nothing", "no such file"),
    ):
        with pytest.raises(InputError, match=f"model.encoder_weights: .*{said}"):
            load_encoder_weights(network(), tmp_path / f"{name}.pth")


def test_a_safetensors_file_of_timms_vgg_fits_its_feature_extractor(tmp_path: Path) -> None:
    """The file holds ``features.0.weight``, the extractor ``features_0.weight``; such files are sorted by names."""
    classifier = timm.create_model("vgg11", num_classes=2)
    save_file(classifier.state_dict(), tmp_path / "vgg.safetensors")
    extractor = build(ModelSpec(name="largefov:vgg11", stage=2, channels=(8, 8)), 3)
    with pytest.warns(UserWarning, match="8 of the encoder's 8 tensors by name"):
        load_encoder_weights(extractor, tmp_path / "vgg.safetensors")
    for index in (0, 3, 6, 8):
        kernel = extractor.state_dict()[f"backbone.features_{index}.weight"]
        assert torch.equal(kernel, classifier.features[index].weight)
