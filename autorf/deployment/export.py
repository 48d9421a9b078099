"""A trained trial as one file that runs without autorf, compared with the original before it is kept."""

import errno
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autorf.data.loading import class_names
from autorf.deployment.retrain import RETRAINED, chosen_trial, study_spec
from autorf.deployment.study_code import with_code_of
from autorf.driver.search import check_writable
from autorf.errors import InputError, in_one_line
from autorf.files import check_output, write_atomically
from autorf.own_code.importing import importable
from autorf.running.runner import trained_model
from autorf.store.replicates import Replicate
from autorf.store.store import open_store
from autorf.study.trial import spec_of, trial_from
from autorf.surgery import freeze
from autorf.surgery.dry_run import input_channels
from autorf.surgery.storage import SIDECAR
from autorf.training.outputs import class_scores

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
TOLERANCE = 1e-4
"""Of the largest score: the largest difference that is rounding."""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a system says where there is no room left."""


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        path: the file.
        source: the folder whose weights it holds.
        difference: the largest absolute one of its class scores from the original's, on random input.
        largest: score of the original, by size, to compare with.
        runtime: what ran the file for that.
        shape: of its input; None for an axis of any length.
        folded: layers that became plain ones.
        left: layers that have no plain form, with the reason.
    """

    path: Path
    source: Path
    difference: float
    largest: float
    runtime: str
    shape: tuple[int | None, ...]
    folded: tuple[str, ...]
    left: Mapping[str, str]


class Scores(nn.Module):
    """A model whose output is its class scores at the image's size and nothing else."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        """``(N, channels, H, W)`` to ``(N, n_classes, H, W)``."""
        return class_scores(self.model(image), image)


def export(
    root: Path,
    study: str,
    trial: str | None = None,
    format: str = "onnx",
    output: Path | None = None,
    *,
    force: bool,
    code_folder: Path | None = None,
    accept_code_change: bool = False,
) -> Exported:
    """Export the retrained model of a trial, or the one its search left, to a file.

    Args:
        root: the folder of all studies.
        study: its name.
        trial: the beginning of a trial's key; None for the winner.
        format: ``onnx`` or ``torch`` (``torch.export``).
        output: the file; None for ``model.onnx`` or ``model.pt2`` beside the weights.
        force: replace the output.
        code_folder: that the user's own code lies in; None for where it lay when the study ran.
        accept_code_change: build the model by own code that is no longer the study's.

    Raises:
        InputError: for a study, trial, format or output that cannot be used, a model that cannot be exported, or an
            exported one that gives other scores; nothing is written then.
    """
    if format not in SUFFIXES:
        raise InputError(f"--format {format}: one of {', '.join(SUFFIXES)}")
    missing = [name for name in ("onnx", "onnxscript") if format == "onnx" and find_spec(name) is None]
    if missing:
        raise InputError(
            f"--format onnx: needs {' and '.join(missing)}: pip install 'autorf-torch[export]'; or --format torch"
        )
    store = open_store(root, study)
    spec = with_code_of(store, study_spec(store), code_folder, accept=accept_code_change)
    record = chosen_trial(store, spec, trial)
    code, spec = spec.code, spec_of(spec, trial_from(record.configuration, record.seed))
    folders = (store.folder / RETRAINED / record.key, store.folder / "trials" / record.key)
    source = next((folder for folder in folders if (folder / SIDECAR).is_file()), folders[-1])
    if isinstance(record, Replicate) and source == folders[-1]:
        raise InputError(
            f"study {study}: the models of its folds are trained on a part of the images each; retrain one on all: "
            f"autorf retrain {study}"
        )
    path = output or source / f"model{SUFFIXES[format]}"
    check_output(path, "--output", replace=force)
    check_writable(path.parent)
    try:
        with importable(code):
            model = trained_model(spec, class_names(spec.data), source).eval()
            size = (3, input_channels(model), *spec.data.image_size)
            image = torch.randn(size, generator=torch.Generator().manual_seed(0))
            return _checked(model, image, format, path, source)
    except OSError as error:
        if error.errno in _FULL:
            # Who wrote did so under a temporary name, or knows none.
            error.filename = str(path)
        raise


def _checked(model: nn.Module, image: Tensor, format: str, path: Path, source: Path) -> Exported:
    with torch.no_grad(), tempfile.TemporaryDirectory(dir=path.parent, prefix=".export.") as folder:
        scores = Scores(model)
        expected = scores(image)
        frozen = freeze(model, image)
        partial = Path(folder) / path.name
        runs, any_batch, runtime = _written(scores, image, format, partial)
        batches = [image] if any_batch else image.split(1)
        exported_scores = torch.cat([runs(batch) for batch in batches])
        difference, largest = (exported_scores - expected).abs().max().item(), expected.abs().max().item()
        if not difference <= TOLERANCE * max(1.0, largest):
            raise InputError(
                f"export: the scores of the {format} file differ from the model's by {difference:.3g} "
                f"(the largest score is {largest:.3g}); nothing was written. Try --format "
                f"{'torch' if format == 'onnx' else 'onnx'}"
            )
        for file in Path(folder).iterdir():
            file.replace(path.parent / file.name)
    shape = (None if any_batch else 1, *image.shape[1:])
    return Exported(path, source, difference, largest, runtime, shape, frozen.folded, frozen.left)


def _written(scores: nn.Module, image: Tensor, format: str, path: Path) -> tuple[Callable[[Tensor], Tensor], bool, str]:
    """Write the file for batches of any size, or of one where the model fixes it; how to run it, and which."""
    write = _write_onnx if format == "onnx" else _write_torch
    try:
        run, runtime = write(scores, image[:2], ({0: torch.export.Dim.DYNAMIC},), path)
        return run, True, runtime
    except Exception as error:
        _pass_on(error)
        # Some layers bound their memory by the batch's size, which must be known then.
        try:
            run, runtime = write(scores, image[:1], None, path)
        except Exception as error:
            _pass_on(error)
            line = in_one_line(error, 200)
            raise InputError(f"export: this model cannot be exported to {format}: {line}") from None
        return run, False, runtime


def _pass_on(error: Exception) -> None:
    """Raise what says nothing of the model: that the disk is full."""
    if isinstance(error, OSError) and error.errno in _FULL:
        raise error


def _write_torch(scores: nn.Module, image: Tensor, shapes: Any, path: Path) -> tuple[Callable[[Tensor], Tensor], str]:
    with _quiet():
        program = torch.export.export(scores, (image,), dynamic_shapes=shapes)
        content = io.BytesIO()
        # PyTorch's own writer ends the process where the disk is full.
        torch.export.save(program, content)
        write_atomically(path, content.getvalue())
        return torch.export.load(path).module(), "torch"


def _write_onnx(scores: nn.Module, image: Tensor, shapes: Any, path: Path) -> tuple[Callable[[Tensor], Tensor], str]:
    with _quiet():
        program = torch.onnx.export(
            scores, (image,), dynamic_shapes=shapes, input_names=["image"], output_names=["scores"], verbose=False
        )
        assert program is not None
        assert program.exported_program is not None
        program.save(path)
    if find_spec("onnxruntime") is None:
        return program.exported_program.module(), "torch, for want of onnxruntime: the file itself was not run"
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(None, {"image": image.numpy()})[0]), "onnxruntime"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporters warn about and log, which concerns their own authors."""
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript", "torch.export")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for name in levels:
                logging.getLogger(name).setLevel(logging.ERROR)
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
