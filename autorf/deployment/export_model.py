"""Any model as one file that runs without autorf, compared with the original before it is kept."""

import copy
import errno
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autorf.deployment.export_axes import ATTEMPTS, AXES, Agreement, captured, compared, least_sides
from autorf.deployment.export_facts import facts_of
from autorf.deployment.export_formats import IMAGE, SCORES, Format, OpsetError, checked_format, quiet, write
from autorf.driver.search import check_writable
from autorf.errors import InputError, in_one_line
from autorf.files import check_output
from autorf.ops._arguments import check_module, check_path, image_sides
from autorf.surgery import freeze
from autorf.surgery.dry_run import input_channels
from autorf.training.outputs import raw_scores, resized

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a system says where there is no room left."""

_PLACES = {name: axis for axis, name in AXES.items()}


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        path: the file.
        agreement: how its class scores compare with the original's, on random images.
        runtime: what ran the file for that.
        shape: of its input ``(N, C, H, W)``; None for an axis of any length.
        fixed: why the axes that are not open are not, by name.
        opset: of ONNX.
        folded: layers that became plain ones.
        left: layers that have no plain form, with the reason; the file computes them by common operators.
        facts: what the file says of its model.
        source: the folder whose weights it holds, for a model of a study.
    """

    path: Path
    agreement: Agreement
    runtime: str
    shape: tuple[int | None, ...]
    fixed: Mapping[str, str]
    opset: int | None
    folded: tuple[str, ...]
    left: Mapping[str, str]
    facts: Mapping[str, Any]
    source: Path | None = None


class Scores(nn.Module):
    """A model whose output is its class scores, those of pixels at the image's size, and nothing else."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        """``(N, channels, H, W)`` to ``(N, n_classes, H, W)``, or of a classifier to ``(N, n_classes)``."""
        scores = raw_scores(self.model(image))
        return scores if scores.dim() == 2 else resized(scores, image.shape[-2:])


def export_model(
    model: nn.Module,
    path: str | Path,
    image_size: tuple[int, int] | int,
    *,
    format: str = "onnx",
    opset: int | None = None,
    facts: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Exported:
    """Export a model of yours to a file of ONNX or torch.export, for images of any number and size where it allows.

    A copy of the model is frozen first (:func:`autorf.freeze`), so the model stays as it is. The file's input is
    ``image (N, C, H, W)``, its output ``scores (N, n_classes, H, W)`` at the image's size, or of a classifier
    ``scores (N, n_classes)``. What it says of the model
    (see ``docs/how_to/export_a_model.md``) lies in it as JSON. It is kept only where its scores are the model's, at the
    training size and at two others.

    Args:
        model: adapted or not; its search is over.
        path: of the file.
        image_size: height and width of the training images in pixels, or one side for both.
        format: ``onnx`` or ``torch`` (``torch.export``).
        opset: of ONNX, 16 to 23; None for PyTorch's default.
        facts: more that the file shall say, such as ``{"classes": ["road", "sky"], "mean": [...], "std": [...]}``.
        force: replace the file.

    Raises:
        InputError: for a search that is not over, a format, opset or path that cannot be used, a model that cannot be
            exported, or an exported one that gives other scores; nothing is written then.

    Examples:
        >>> import autorf, tempfile
        >>> from autorf.deployment.export_model import export_model
        >>> from torch import nn
        >>> model = autorf.adapt(nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)), autorf.Dilation(rate=4))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export_model(model, f"{folder}/model.pt2", 32, format="torch").shape
        (None, 3, None, None)
    """
    check_module("export_model", model)
    check_path("export_model", "path", path)
    size = image_sides("export_model", image_size)
    chosen, path = checked_format(format, opset), Path(path)
    check_output(path, "path", replace=force)
    check_writable(path.parent)
    return written(copy.deepcopy(model).cpu().eval(), path, size, chosen, opset, facts or {})


def written(
    model: nn.Module, path: Path, size: tuple[int, int], format: Format, opset: int | None, facts: Mapping[str, Any]
) -> Exported:
    """Freeze ``model`` in place and write its file; see :func:`export_model`."""
    image = torch.randn(3, input_channels(model), *size, generator=torch.Generator().manual_seed(0))
    try:
        # Under the file's own folder: what is moved then stays on its disk.
        with torch.no_grad(), tempfile.TemporaryDirectory(dir=path.parent, prefix=".export.") as folder:
            frozen = freeze(model, image)
            of_pictures = Scores(model)(image[:1]).dim() == 2
            known = {**facts_of(model, size, image.shape[1], of_pictures=of_pictures), **facts}
            exported = _first_that_agrees(Scores(model), image, Path(folder) / path.name, format, opset, known)
            for file in Path(folder).iterdir():
                file.replace(path.parent / file.name)
    except OSError as error:
        if error.errno in _FULL:
            # Who wrote did so under a temporary name, or knows none.
            error.filename = str(path)
        raise
    closed = {axis: reason for axis, reason in exported.fixed.items() if exported.shape[_PLACES[axis]] is not None}
    return replace(exported, path=path, fixed=closed, folded=frozen.folded, left=frozen.left)


def _first_that_agrees(
    scores: Scores, image: Tensor, path: Path, format: Format, opset: int | None, facts: Mapping[str, Any]
) -> Exported:
    """The file with the most open axes that gives the scores of the model."""
    fixed: dict[str, str] = {}
    problem: InputError | None = None
    for axes in ATTEMPTS:
        try:
            with quiet():
                program = captured(scores, image, axes)
                file = write(program, path, format, opset)
                agreement = compared(file.run, scores, image, axes, least_sides(program))
                if agreement.holds:
                    shape = _shape(image, axes)
                    known = {**facts, **_ends(shape, agreement, of_pictures=scores(image[:1]).dim() == 2)}
                    file.tell(known)
                    return Exported(path, agreement, file.runtime, shape, fixed, file.opset, (), {}, known)
        except OpsetError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _FULL:
                # Says nothing of the model.
                raise
            reason = in_one_line(error, 200)
            problem = InputError(f"export: this model cannot be exported to {format}: {reason}")
        else:
            reason = "the scores of the file differ from the model's"
            problem = InputError(
                f"export: the scores of the {format} file differ from the model's by {agreement.difference:.3g} "
                f"(the largest score is {agreement.largest:.3g}); nothing was written. Try --format "
                f"{'torch' if format == 'onnx' else 'onnx'}"
            )
        fixed = {AXES[axis]: fixed.get(AXES[axis], reason) for axis in AXES}
    assert problem is not None
    raise problem


def _shape(image: Tensor, axes: tuple[int, ...]) -> tuple[int | None, ...]:
    return tuple(None if axis in axes else side for axis, side in enumerate((1, *image.shape[1:])))


def _ends(shape: tuple[int | None, ...], agreement: Agreement, *, of_pictures: bool) -> dict[str, Any]:
    """Input and output of a file, and which sides it takes where they are open."""
    batch, _, height, width = shape
    sides = {"side_step": agreement.step, "least_sides": agreement.least} if agreement.step is not None else {}
    return {
        "input": {"name": IMAGE, "shape": list(shape), **sides},
        "output": {"name": SCORES, "shape": [batch, None] if of_pictures else [batch, None, height, width]},
    }
