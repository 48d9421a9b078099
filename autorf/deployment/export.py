"""A trained trial of a study as one file that runs without autorf."""

from dataclasses import replace
from pathlib import Path

from autorf.data.loading import class_names
from autorf.deployment.export_facts import study_facts
from autorf.deployment.export_formats import SUFFIXES, checked_format
from autorf.deployment.export_model import Exported, written
from autorf.deployment.retrain import RETRAINED, chosen_trial, study_spec
from autorf.deployment.study_code import with_code_of
from autorf.driver.search import check_writable
from autorf.errors import InputError
from autorf.files import check_output
from autorf.own_code.importing import importable
from autorf.running.runner import trained_model
from autorf.store.replicates import Replicate
from autorf.store.store import open_store
from autorf.study.trial import spec_of, trial_from
from autorf.surgery.storage import SIDECAR


def export(
    root: Path,
    study: str,
    trial: str | None = None,
    format: str = "onnx",
    output: Path | None = None,
    *,
    opset: int | None = None,
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
        opset: of ONNX, 16 to 23; None for PyTorch's default.
        force: replace the output.
        code_folder: that the user's own code lies in; None for where it lay when the study ran.
        accept_code_change: build the model by own code that is no longer the study's.

    Raises:
        InputError: for a study, trial, format, opset or output that cannot be used, a model that cannot be exported, or
            an exported one that gives other scores; nothing is written then.
    """
    chosen = checked_format(format, opset)
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
    path = output or source / f"model{SUFFIXES[chosen]}"
    check_output(path, "--output", replace=force)
    check_writable(path.parent)
    with importable(code):
        model = trained_model(spec, class_names(spec.data), source).eval()
        facts = study_facts(spec, source)
        return replace(written(model, path, spec.data.image_size, chosen, opset, facts), source=source)
