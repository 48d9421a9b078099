import errno
import os
import shutil
from pathlib import Path

import pytest
import torch

from autorf.deployment import export as module
from autorf.deployment.export import export
from autorf.errors import InputError
from tests.study.trained import LEARNED, MANUAL, STUDY


def test_onnx_gives_the_scores_of_the_original_for_any_number_of_images(
    trained: tuple[Path, list[str]], tmp_path: Path
) -> None:
    import onnxruntime

    from autorf.running.runner import trained_model
    from autorf.study.spec import parse_study

    root, keys = trained
    done = export(root, "tiny", output=tmp_path / "file.onnx", force=False)
    assert (done.path, done.shape, done.runtime) == (tmp_path / "file.onnx", (None, 3, 48, 48), "onnxruntime")
    assert (done.folded, done.left) == (("head.conv6",), {})
    assert done.difference < 1e-5
    names = ("background", *"0123456789")
    model = trained_model(parse_study(STUDY, "tiny"), names, root / "tiny" / "trials" / keys[LEARNED]).eval()
    session = onnxruntime.InferenceSession(str(done.path), providers=["CPUExecutionProvider"])
    image = torch.randn(5, 3, 48, 48)
    scores = torch.from_numpy(session.run(None, {"image": image.numpy()})[0])
    torch.testing.assert_close(scores, model(image), rtol=1e-4, atol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["file.onnx"]


def test_torch_export_lies_beside_the_weights_and_is_not_overwritten(
    trained: tuple[Path, list[str]], tmp_path: Path
) -> None:
    root, keys = shutil.copytree(trained[0], tmp_path / "runs"), trained[1]
    done = export(root, "tiny", keys[MANUAL], "torch", force=False)
    assert done.path == root / "tiny" / "trials" / keys[MANUAL] / "model.pt2"
    assert torch.export.load(done.path).module()(torch.randn(4, 3, 48, 48)).shape == (4, 11, 48, 48)
    with pytest.raises(InputError, match=r"model.pt2: exists; name another file, or overwrite it with --force"):
        export(root, "tiny", keys[MANUAL], "torch", force=False)


def test_a_file_that_gives_other_scores_is_refused_and_not_written(
    trained: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = module._write_torch

    def wrong(*arguments):
        run, runtime = write(*arguments)
        return lambda image: run(image) + 0.01, runtime

    monkeypatch.setattr(module, "_write_torch", wrong)
    with pytest.raises(InputError, match=r"differ from the model's by 0.01"):
        export(trained[0], "tiny", None, "torch", tmp_path / "out" / "model.pt2", force=False)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_model_that_fixes_the_batch_is_exported_for_one_image_and_one_that_nothing_exports_is_refused(
    trained: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = module._write_torch

    def only_one(scores, image, shapes, path):
        if len(image) > 1:
            raise ValueError("the batch must be known")
        return write(scores, image, shapes, path)

    monkeypatch.setattr(module, "_write_torch", only_one)
    done = export(trained[0], "tiny", None, "torch", tmp_path / "one.pt2", force=False)
    assert done.shape == (1, 3, 48, 48)

    def never(*_):
        raise ValueError("no such operator\nmore")

    monkeypatch.setattr(module, "_write_torch", never)
    with pytest.raises(InputError, match=r"export: this model cannot be exported to torch: no such operator more$"):
        export(trained[0], "tiny", None, "torch", tmp_path / "none.pt2", force=False)


def test_a_missing_library_and_an_unknown_format_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="--format pdf: one of onnx, torch"):
        export(tmp_path, "tiny", format="pdf", force=False)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs onnx and onnxscript: pip install 'autorf-torch\[export\]'"):
        export(tmp_path, "tiny", force=False)


@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_a_full_disk_is_told_by_the_name_of_the_file_that_was_to_be_written(
    trained: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "_write_onnx", full)
    monkeypatch.setattr(module, "write_atomically", full)
    with pytest.raises(OSError, match="No space left") as caught:
        export(trained[0], "tiny", None, format, tmp_path / "model", force=False)
    assert caught.value.filename == str(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
