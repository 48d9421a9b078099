"""What ``autorf predict`` does."""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from autorf.cli.classifying import check_options, classify_pictures
from autorf.cli.deployment import folder_of
from autorf.cli.exit_codes import DONE, FAILED_TRIALS
from autorf.cli.studies import study_name
from autorf.comparison.judging import metric_name
from autorf.deployment.classifying import Classifier
from autorf.deployment.predicting import (
    OWN_SCALE,
    TRAINING_SCALE,
    Report,
    Wishes,
    predict_files,
    scores_of,
    tasks,
)
from autorf.deployment.predictor import Predictor
from autorf.deployment.recipe import needs_code, read_recipe
from autorf.deployment.retrain import retrained_model, study_spec
from autorf.deployment.study_code import with_code_of
from autorf.errors import InputError, in_short
from autorf.files import check_output, write_atomically
from autorf.metrics import Scores
from autorf.own_code.code import OwnCode
from autorf.store.store import open_store, study_folder
from autorf.surgery.storage import SIDECAR
from autorf.tasks import CLASSIFICATION
from autorf.training.results import GROUP, METRICS

METRICS_FILE = "metrics.json"
_SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True)
class Options:
    """Of the command; see its help."""

    root: Path
    output: Path
    trial: str | None = None
    masks: Path | None = None
    wishes: Wishes = field(default_factory=Wishes)
    code: Path | None = None
    device: str | None = None
    tile: int | None = None
    landmarks: Path | None = None
    force: bool = False
    quiet: bool = False
    accept_code_change: bool = False


def predict(model: str, pictures: Sequence[Path], options: Options) -> int:
    """Predict pictures with a retrained model, and say how good it was where masks are given."""
    folder, code = _model(model, options)
    recipe = read_recipe(folder)
    if recipe.task == CLASSIFICATION.name:
        return _classify(folder, code, pictures, options)
    arrays = recipe.stored is not None
    planned = tasks(pictures, options.output, options.wishes, options.masks, force=options.force, arrays=arrays)
    if options.masks is not None:
        check_output(options.output / METRICS_FILE, "--output", replace=options.force)
    predictor = Predictor(
        folder,
        code=code or options.code,
        device=options.device,
        tile=options.tile,
        accept_code_change=options.accept_code_change,
        landmarks=options.landmarks,
    )
    if options.wishes.maps and predictor.aligns:
        raise InputError("--maps: the maps of aligned faces do not lie on their pictures; leave it out")
    if options.wishes.maps and not predictor.has_map:
        raise InputError(
            f"--maps: {folder} has one field for all pixels; models that scale_adaptive or pixel_adaptive trained have "
            "maps; leave it out"
        )
    with _progress(len(planned), quiet=options.quiet) as told:
        report = predict_files(predictor, planned, options.wishes, told)
    for problem in report.problems:
        print(f"autorf: {in_short(problem)}", file=sys.stderr)
    _print(report, predictor, folder, options)
    return FAILED_TRIALS if report.problems else DONE


def _classify(folder: Path, code: OwnCode | None, pictures: Sequence[Path], options: Options) -> int:
    wishes, names = options.wishes, ("masks", "tile", "landmarks")
    of_pixels = {
        "color": wishes.colour,
        **{name: getattr(wishes, name) for name in ("overlay", "probabilities", "maps")},
    }
    check_options({**of_pixels, **{name: getattr(options, name) for name in names}})
    classifier = Classifier(
        folder,
        code=code or options.code,
        device=options.device,
        accept_code_change=options.accept_code_change,
    )
    return classify_pictures(
        classifier,
        pictures,
        options.output,
        force=options.force,
        progress=partial(_progress, quiet=options.quiet),
    )


def _model(model: str, options: Options) -> tuple[Path, OwnCode | None]:
    """The folder of the model that a study or a folder means, and the study's own code where it has some."""
    folder = Path(model)
    # A study may be called like some folder of the working directory.
    holds_model = (folder / SIDECAR).is_file()
    if holds_model or (folder.is_dir() and not _is_study(options.root, model)):
        if not holds_model:
            raise InputError(f"{folder}: holds no model (no {SIDECAR}); give a folder that autorf retrain wrote")
        if options.trial is not None:
            raise InputError(f"--trial {options.trial}: is for a study; {folder} is a model's folder")
        return folder, None
    store = open_store(options.root, study_name(model))
    folder = retrained_model(store, options.trial)
    if options.code is not None or not needs_code(read_recipe(folder)):
        return folder, None
    accept = options.accept_code_change
    return folder, with_code_of(store, study_spec(store), folder_of(model), accept=accept).code


def _is_study(root: Path, name: str) -> bool:
    """Whether a folder's name is a study's too."""
    return "/" not in name and study_folder(root, name).is_dir()


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """What is called after every picture: a bar on a terminal, elsewhere a line now and then; both on stderr."""
    if quiet:
        yield lambda: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("predict", total=total)
            yield lambda: bar.advance(task)
    else:
        yield _Lines(total)


class _Lines:
    """A line every few seconds."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._last = total, 0, time.monotonic()

    def __call__(self) -> None:
        self._done += 1
        if time.monotonic() - self._last > _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            print(f"{self._done} of {self._total} pictures", file=sys.stderr, flush=True)


def _print(report: Report, predictor: Predictor, folder: Path, options: Options) -> None:
    print(options.output)
    print(f"  model      {folder}, on {predictor.device}")
    print(f"  pictures   {report.predicted} predicted{f', {len(report.problems)} not' if report.problems else ''}")
    if report.in_tiles:
        print(f"  tiles      {report.in_tiles} pictures in {predictor.tiling}")
    if options.masks is None or not report.scored:
        return
    by_scale = scores_of(report, predictor)
    for scale, scored in by_scale.items():
        figures = ", ".join(f"{metric_name(name)} {value:.4f}" for name, value in _values(scored).items())
        print(f"  scores     {figures} of {report.scored} pictures, {_scale_words(scale, predictor)}")
    path = options.output / METRICS_FILE
    write_atomically(path, json.dumps(_figures(by_scale, report, predictor), indent=1) + "\n")


def _values(scored: Scores) -> dict[str, float]:
    groups = {f"{GROUP}{name}": value for name, value in scored.known_groups.items()}
    return {**{name: getattr(scored, name) for name in METRICS}, **groups}


def _scale_words(scale: str, predictor: Predictor) -> str:
    height, width = predictor.recipe.image_size
    part = "" if predictor.tiling is None else ", cut from the middle"
    sizes = {TRAINING_SCALE: f"at {height} x {width}{part}", OWN_SCALE: "at the masks' own size"}
    return f"{sizes[scale]}{', as the study scores' if scale == _study_scale(predictor) else ''}"


def _study_scale(predictor: Predictor) -> str:
    return TRAINING_SCALE if predictor.recipe.score_at == "training" else OWN_SCALE


def _figures(by_scale: dict[str, Scores], report: Report, predictor: Predictor) -> dict[str, Any]:
    """What ``metrics.json`` holds: of every scale the metrics, and IoU and F1 of every class."""
    names = {TRAINING_SCALE: "training", OWN_SCALE: "mask"}
    scales = {}
    for scale, scored in by_scale.items():
        classes = predictor.recipe.class_names
        scales[names[scale]] = {
            "metrics": {name: _finite(value) for name, value in _values(scored).items()},
            "per_class": {name: {"iou": scored.iou[name], "f1": scored.f1_per_class[name]} for name in classes},
        }
    size = list(predictor.recipe.image_size)
    return {"n_images": report.scored, "study_scale": predictor.recipe.score_at, "image_size": size, "scales": scales}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
