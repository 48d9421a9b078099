import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

import autorf
from autorf.deployment import export_axes, export_formats, export_model
from autorf.deployment.export import export
from autorf.errors import InputError
from autorf.running.runner import trained_model
from autorf.study.spec import parse_study
from tests.study.trained import LEARNED, MANUAL, STUDY


def searched_model(root: Path, keys: list[str]) -> nn.Module:
    names = ("background", *"0123456789")
    return trained_model(parse_study(STUDY, "tiny"), names, root / "tiny" / "trials" / keys[LEARNED]).eval()


def test_onnx_gives_the_scores_of_the_original_for_images_of_any_number_and_size(
    trained: tuple[Path, list[str]], tmp_path: Path
) -> None:
    import onnxruntime

    root, keys = trained
    done = export(root, "tiny", output=tmp_path / "file.onnx", force=False)
    assert (done.path, done.shape, done.runtime) == (tmp_path / "file.onnx", (None, 3, None, None), "onnxruntime")
    assert (done.folded, done.left, done.fixed) == (("head.conv6",), {}, {})
    assert done.agreement.difference < 1e-5
    assert [size[0] for size in done.agreement.sizes] == [3, 1, 1]
    assert len({size[1:] for size in done.agreement.sizes}) == 3
    model = searched_model(root, keys)
    session = onnxruntime.InferenceSession(str(done.path), providers=["CPUExecutionProvider"])
    image = torch.randn(5, 3, 41, 70)
    scores = torch.from_numpy(session.run(None, {"image": image.numpy()})[0])
    torch.testing.assert_close(scores, model(image), rtol=1e-4, atol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["file.onnx"]


def test_torch_export_lies_beside_the_weights_and_is_not_overwritten(
    trained: tuple[Path, list[str]], tmp_path: Path
) -> None:
    root, keys = shutil.copytree(trained[0], tmp_path / "runs"), trained[1]
    done = export(root, "tiny", keys[MANUAL], "torch", force=False)
    assert done.path == root / "tiny" / "trials" / keys[MANUAL] / "model.pt2"
    assert torch.export.load(done.path).module()(torch.randn(4, 3, 56, 48)).shape == (4, 11, 56, 48)
    with pytest.raises(InputError, match=r"model.pt2: exists; name another file, or overwrite it with --force"):
        export(root, "tiny", keys[MANUAL], "torch", force=False)


@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_the_file_itself_says_what_its_user_must_know(
    trained: tuple[Path, list[str]], tmp_path: Path, format: str
) -> None:
    import onnxruntime

    done = export(trained[0], "tiny", format=format, output=tmp_path / "model", force=False)
    if format == "onnx":
        session = onnxruntime.InferenceSession(str(done.path), providers=["CPUExecutionProvider"])
        said = json.loads(session.get_modelmeta().custom_metadata_map["autorf"])
        ends = [each.name for each in (*session.get_inputs(), *session.get_outputs())]
        assert ends == ["image", "scores"]
    else:
        files = {"autorf.json": ""}
        torch.export.load(done.path, extra_files=files)
        said = json.loads(files["autorf.json"])
    assert said == json.loads(json.dumps(done.facts))
    assert said["classes"] == ["background", *"0123456789"]
    assert len(said["colours"]) == 11
    assert (said["mean"], said["std"], said["is_rgb"]) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], True)
    assert (said["image_size"], said["channels"], said["model"]) == ([48, 48], 3, "largefov:test_byobnet")
    # The network enlarges its scores inside, by a ratio that a tile would not have.
    assert (said["tiles_exact"], "tiles_reason" in said) == (False, True)
    assert said["rf"] == list(autorf.receptive_field(searched_model(*trained), (48, 48)).size)
    steps, least = said["input"].pop("side_step"), said["input"].pop("least_sides")
    # Which sizes torch.export guards is a matter of its version.
    assert (steps in (1, 2), max(least) <= 48) == (True, True)
    assert said["input"] == {"name": "image", "shape": [None, 3, None, None]}
    assert said["output"] == {"name": "scores", "shape": [None, None, None, None]}


def test_field_stride_and_halo_are_those_of_the_frozen_model(tmp_path: Path) -> None:
    model = autorf.adapt(own(nn.AvgPool2d(2)), autorf.Dilation(targets="0", rate=4))
    facts = export_model.export_model(model, tmp_path / "m.pt2", 16, format="torch").facts
    # Three taps four apart, then two neighbours: 9 + 1 pixels, of which the outputs cover two.
    assert (facts["rf"], facts["stride"], facts["halo"], facts["tiles_exact"]) == ([10, 10], [2, 2], [4, 4], True)


def test_a_file_that_gives_other_scores_is_refused_and_not_written(
    trained: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = export_formats._write_torch

    def wrong(*arguments):
        file = write(*arguments)
        return replace(file, run=lambda image: file.run(image) + 0.01)

    monkeypatch.setattr(export_formats, "_write_torch", wrong)
    with pytest.raises(InputError, match=r"differ from the model's by 0.01"):
        export(trained[0], "tiny", None, "torch", tmp_path / "out" / "model.pt2", force=False)
    assert list((tmp_path / "out").iterdir()) == []


def test_scores_that_are_no_numbers_are_no_agreement() -> None:
    image = torch.rand(3, 3, 8, 8)
    agreement = export_axes.compared(lambda image: image * torch.nan, lambda image: image, image, (), (1, 1))
    assert not agreement.holds


def test_a_model_that_fixes_the_batch_is_exported_for_one_image_and_one_that_nothing_exports_is_refused(
    trained: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = export_axes.captured

    def only_one(scores, image, axes):
        if export_axes.BATCH in axes:
            raise ValueError("the batch must be known")
        return capture(scores, image, axes)

    monkeypatch.setattr(export_model, "captured", only_one)
    done = export(trained[0], "tiny", None, "torch", tmp_path / "one.pt2", force=False)
    assert (done.shape, done.fixed) == ((1, 3, None, None), {"batch": "the batch must be known"})

    def never(*_):
        raise ValueError("no such operator\nmore")

    monkeypatch.setattr(export_model, "captured", never)
    with pytest.raises(InputError, match=r"export: this model cannot be exported to torch: no such operator more$"):
        export(trained[0], "tiny", None, "torch", tmp_path / "none.pt2", force=False)


def own(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *layers, nn.Conv2d(4, 2, 1))


class OnlyMultiplesOf8(nn.Module):
    def forward(self, map: torch.Tensor) -> torch.Tensor:
        if map.shape[2] % 8 or map.shape[3] % 8:
            raise ValueError("sides must be multiples of 8")
        return functional.interpolate(functional.avg_pool2d(map, 8), scale_factor=8.0)


class Positions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(4, 16, 24))

    def forward(self, map: torch.Tensor) -> torch.Tensor:
        return map + self.table


def test_sides_that_a_network_does_not_take_are_said(tmp_path: Path) -> None:
    done = export_model.export_model(own(OnlyMultiplesOf8()), tmp_path / "m.pt2", (16, 24), format="torch")
    assert done.shape == (None, 3, None, None)
    assert done.facts["input"]["side_step"] == 8
    assert all(height % 8 == width % 8 == 0 for _, height, width in done.agreement.sizes)


def test_a_network_of_one_size_is_exported_for_that_size_and_the_reason_said(tmp_path: Path) -> None:
    done = export_model.export_model(own(Positions()), tmp_path / "m.pt2", (16, 24), format="torch")
    assert done.shape == (None, 3, 16, 24)
    assert set(done.fixed) == {"height", "width"}
    assert done.fixed["height"]


def test_a_model_of_ones_own_stays_as_it_is_and_a_search_that_is_not_over_is_refused(tmp_path: Path) -> None:
    model = autorf.adapt(own(), autorf.LearnedDilation(targets="0", start=2))
    autorf.advance(model, 1, 100)
    with pytest.raises(InputError, match="search"):
        export_model.export_model(model, tmp_path / "m.pt2", 16, format="torch")
    assert list(tmp_path.iterdir()) == []
    autorf.advance(model, 100, 100)
    names = set(model.state_dict())
    done = export_model.export_model(model, tmp_path / "m.pt2", 16, format="torch", facts={"classes": ["a", "b"]})
    assert set(model.state_dict()) == names
    assert (done.folded, done.facts["classes"]) == (("0",), ["a", "b"])


@pytest.mark.parametrize("opset", [16, 21])
def test_the_file_has_the_opset_that_was_asked_for(tmp_path: Path, opset: int) -> None:
    import onnx

    done = export_model.export_model(own(), tmp_path / "m.onnx", 16, opset=opset)
    assert done.opset == opset
    assert {each.domain: each.version for each in onnx.load(done.path).opset_import}[""] == opset


@pytest.mark.parametrize(
    ("format", "opset", "said"),
    [
        ("onnx", 15, r"--opset 15: one of 16 to 23"),
        ("onnx", 99, r"--opset 99: one of 16 to 23"),
        ("torch", 20, r"--opset 20: is for --format onnx alone"),
    ],
)
def test_an_opset_that_there_is_not_is_one_line(tmp_path: Path, format: str, opset: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        export(tmp_path, "tiny", format=format, opset=opset, force=False)


def test_an_opset_that_an_operator_has_no_form_in_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = autorf.adapt(own().train(), autorf.ScaleAdaptive(targets="0"))
    autorf.advance(model, 10, 10)
    # Sampling at any place begins with 16; the exporter then leaves the file as it was, and only logs it.
    monkeypatch.setattr(export_formats, "OPSETS", range(9, 24))
    with pytest.raises(InputError, match=r"--opset 9: an operator of this model has no form there; .* opset 18"):
        export_model.export_model(model, tmp_path / "m.onnx", 16, opset=9)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_and_an_unknown_format_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="--format pdf: one of onnx, torch"):
        export(tmp_path, "tiny", format="pdf", force=False)
    monkeypatch.setattr(export_formats, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs onnx and onnxscript: pip install 'autorf-torch\[export\]'"):
        export(tmp_path, "tiny", force=False)


@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_a_full_disk_is_told_by_the_name_of_the_file_that_was_to_be_written(
    trained: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(export_formats, "_write_onnx", full)
    monkeypatch.setattr(export_formats, "write_atomically", full)
    with pytest.raises(OSError, match="No space left") as caught:
        export(trained[0], "tiny", None, format, tmp_path / "model", force=False)
    assert caught.value.filename == str(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
