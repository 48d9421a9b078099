"""The two formats of an exported model: who writes a file, and who runs it."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.export import ExportedProgram

from autorf.errors import InputError
from autorf.files import write_atomically

Format = Literal["onnx", "torch"]
Facts = Mapping[str, Any]

SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torch": ".pt2"}
IMAGE, SCORES = "image", "scores"
"""The names of the input and of the output."""

FACTS = "autorf"
"""The key of an ONNX file's ``metadata_props`` that holds what there is to know of the model, as JSON."""

FACTS_FILE = "autorf.json"
"""Of torch.export: the extra file that holds it."""

OPSETS = range(16, 24)
"""Of ONNX: from the first that samples a map at any place to the last that PyTorch's exporter knows."""


@dataclass(frozen=True)
class WrittenFile:
    """A file of an exported model.

    Attributes:
        run: the file itself, on ``(N, C, H, W)``.
        runtime: what runs it.
        tell: writes the file again with what there is to know of the model.
        opset: of ONNX.
    """

    run: Callable[[Tensor], Tensor]
    runtime: str
    tell: Callable[[Facts], None]
    opset: int | None = None


class OpsetError(InputError):
    """An operator of a model has no form in the opset that was asked for."""


def checked_format(format: str, opset: int | None) -> Format:
    """``format``, if its libraries are there and it has the opset.

    Raises:
        InputError: otherwise, with what is allowed.
    """
    if format not in SUFFIXES:
        raise InputError(f"--format {format}: one of {', '.join(SUFFIXES)}")
    if opset is not None and format != "onnx":
        raise InputError(f"--opset {opset}: is for --format onnx alone; leave it out")
    if opset is not None and opset not in OPSETS:
        raise InputError(f"--opset {opset}: one of {OPSETS[0]} to {OPSETS[-1]}, or left out for PyTorch's default")
    missing = [name for name in ("onnx", "onnxscript") if format == "onnx" and find_spec(name) is None]
    if missing:
        raise InputError(
            f"--format onnx: needs {' and '.join(missing)}: pip install 'autorf-torch[export]'; or --format torch"
        )
    return format


def write(program: ExportedProgram, path: Path, format: Format, opset: int | None = None) -> WrittenFile:
    """Write ``program`` to ``path`` and load the file again to be run.

    Raises:
        OpsetError: where the file would have another opset.
        Exception: whatever the exporters raise of a program that the format has no words for.
    """
    return _write_onnx(program, path, opset) if format == "onnx" else _write_torch(program, path)


def _write_torch(program: ExportedProgram, path: Path) -> WrittenFile:
    def save(extra_files: dict[str, str] | None) -> None:
        content = io.BytesIO()
        # PyTorch's own writer ends the process where the disk is full.
        torch.export.save(program, content, extra_files=extra_files)
        write_atomically(path, content.getvalue())

    save(None)
    run = torch.export.load(path).module()
    return WrittenFile(run, "torch", lambda facts: save({FACTS_FILE: json.dumps(facts, indent=1)}))


def _write_onnx(program: ExportedProgram, path: Path, opset: int | None) -> WrittenFile:
    exported = torch.onnx.export(
        program, (), input_names=[IMAGE], output_names=[SCORES], opset_version=opset, verbose=False
    )
    assert exported is not None
    assert exported.exported_program is not None
    written_opset = exported.model.opset_imports[""]
    if opset is not None and written_opset != opset:
        # The exporter only logs that it could not convert.
        raise OpsetError(
            f"--opset {opset}: an operator of this model has no form there; the file would have opset "
            f"{written_opset}: take that, or a larger one up to {OPSETS[-1]}"
        )

    def tell(facts: Facts) -> None:
        exported.model.metadata_props[FACTS] = json.dumps(facts)
        exported.save(path)

    exported.save(path)
    run, runtime = _onnx_run(path) or (
        exported.exported_program.module(),
        "torch, for want of onnxruntime: the file itself was not run",
    )
    return WrittenFile(run, runtime, tell, written_opset)


def _onnx_run(path: Path) -> tuple[Callable[[Tensor], Tensor], str] | None:
    """How onnxruntime runs the file; None where it is not installed."""
    if find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # It prints what it also raises, such as for sizes that the file does not take.
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(None, {IMAGE: image.numpy()})[0]), "onnxruntime"


@contextmanager
def quiet() -> Iterator[None]:
    """Without what the exporters warn about and log, which concerns their own authors."""
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)
