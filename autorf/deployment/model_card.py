"""What is written beside a retrained model: a card for people, and the same figures as JSON."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import autorf
from autorf.comparison.judging import metric_name
from autorf.data.normalisation import IMAGENET, Normalisation
from autorf.deployment.measuring import Measured
from autorf.deployment.plain_loading import plain_lines
from autorf.files import write_atomically
from autorf.networks.spec import NOT_THE_NETWORK
from autorf.own_code.reference import is_reference
from autorf.study.spec import StudySpec
from autorf.study.trial import side_text, trial_from
from autorf.tasks import CLASSIFICATION
from autorf.training.results import Field

CARD, FIGURES = "README.md", "metrics.json"
_LIBRARIES = ("torch", "timm", "segmentation-models-pytorch", "lightning")


@dataclass(frozen=True)
class Card:
    """Everything that the card and ``metrics.json`` say; ``spec`` is the study as the trial has it.

    The first of ``seeds`` is the one whose model is shipped; ``full_budget`` says that it was trained as long as the
    study trains; ``multiscale`` are the same models' scores over the sizes that ``evaluation`` names;
    ``normalisation`` is that of the images; ``plain`` says that code without autorf loads the model; ``folds`` are
    those of the study, all of which it was trained on.
    """

    study: str
    key: str
    configuration: dict[str, Any]
    spec: StudySpec
    class_names: tuple[str, ...]
    seeds: tuple[int, ...]
    epochs: int
    with_val: bool
    fixed: bool
    n_train: int
    split: str | None
    metrics: Measured | None
    field: Field
    values: dict[str, float]
    parameters: int
    train_seconds: float
    full_budget: bool = True
    multiscale: Measured | None = None
    normalisation: Normalisation = IMAGENET
    plain: bool = False
    folds: int | None = None

    @property
    def setting(self) -> str:
        """Method and setting in a few words."""
        trial = trial_from(self.configuration, self.seeds[0])
        return f"{trial.method.method} ({trial.setting})"

    def loading(self, folder: str) -> str:
        """Three lines of Python that load the model from ``folder``."""
        fields = self.spec.model.model_dump(exclude_defaults=True, exclude=set(NOT_THE_NETWORK))
        given = ", ".join(f"{name}={value!r}" for name, value in fields.items())
        classes = list(self.class_names) if self.spec.model.paths else len(self.class_names)
        channels = len(self.normalisation.mean)
        seen = "" if channels == 3 else f", channels={channels}"
        own = f"# In the folder of your code: {self.spec.model.name}\n" if is_reference(self.spec.model.name) else ""
        return (
            f"{own}import autorf\n"
            f"spec = autorf.ModelSpec({given})\n"
            f"model = autorf.load(lambda: autorf.build(spec, classes={classes!r}{seen}), {folder!r}).eval()\n"
        )


def write_card(folder: Path, card: Card) -> None:
    """Write the card and its figures."""
    write_atomically(folder / FIGURES, json.dumps(figures(card), indent=1) + "\n")
    write_atomically(folder / CARD, text(card))


def figures(card: Card) -> dict[str, Any]:
    """What ``metrics.json`` holds."""
    measurement = card.metrics
    return {
        "study": card.study,
        "task": card.spec.task,
        "key": card.key,
        "configuration": card.configuration,
        "seeds": list(card.seeds),
        "epochs": card.epochs,
        "with_val": card.with_val,
        "folds": card.folds,
        "fixed": card.fixed,
        "full_budget": card.full_budget,
        "shipped": _shipped(card),
        "n_train": card.n_train,
        "split": card.split,
        "n_images": measurement.n_images if measurement else None,
        "metrics": measurement.metrics if measurement else None,
        "per_class": measurement.per_class if measurement else None,
        "multiscale": _multiscale_figures(card),
        "normalisation": {"mean": list(card.normalisation.mean), "std": list(card.normalisation.std)},
        "rf": list(card.field.rf),
        "rnorm": card.field.rnorm,
        "values": card.values,
        "parameters": card.parameters,
        "train_seconds": card.train_seconds,
        "versions": versions(),
    }


def _multiscale_figures(card: Card) -> dict[str, Any] | None:
    if card.multiscale is None:
        return None
    evaluation = card.spec.evaluation
    how = {"scales": list(evaluation.all_scales), "flip": evaluation.flip}
    return {**how, "metrics": card.multiscale.metrics, "per_class": card.multiscale.per_class}


def versions() -> dict[str, str]:
    """Of Python and of the libraries that compute."""
    own = {"autorf": autorf.__version__, "python": platform.python_version()}
    return {**own, **{name: version(name) for name in _LIBRARIES}}


def text(card: Card) -> str:
    """The card, in Markdown."""
    learned = ", ".join(f"{name} {value:.4g}" for name, value in card.values.items())
    several = f"{len(card.seeds)} trainings (seeds {', '.join(map(str, card.seeds))})"
    chosen = "the first" if card.with_val or card.folds else "the best on the validation split"
    several += f"; the model here is that of seed {card.seeds[0]}, {chosen}"
    trained = f"seed {card.seeds[0]}" if len(card.seeds) == 1 else several
    images, kind = "training and validation" if card.with_val else "training", _kind_of_image(card)
    chosen_on = "validation split" if card.folds is None else f"training images, cross-validated in {card.folds} folds"
    folds = "" if card.folds is None else " (all folds: nothing validated this model)"
    return f"""# {card.spec.model.name}, {card.setting}

A {card.spec.task} network whose receptive field was chosen by the study `{card.study}` (trial `{card.key}`) on its
{chosen_on}, trained anew{" to the full budget" if card.full_budget else ""} by `autorf retrain`.

## Loading

```python
{card.loading("PATH/OF/THIS/FOLDER").rstrip()}
```

{_plain_words(card)}Input: {_input_words(card)}.
Output: class scores `(N, {len(card.class_names)}{"" if _of_pictures(card) else ", H, W"})`.

## Receptive field

| receptive field | rnorm | learned |
|---|---|---|
| {side_text(card.field.rf)} px | {card.field.rnorm:.3f} | {learned or "set by hand"} |

## Training

{_length(card)} on {card.n_train} {images} {kind} of `{card.spec.data.name}`{folds}, {trained}; {card.parameters:,}
parameters, {card.train_seconds:.0f} s{_fixed_words(card)}.

{_metric_words(card)}
## Versions

{", ".join(f"{name} {number}" for name, number in versions().items())}.
"""


def _plain_words(card: Card) -> str:
    """How to load the model without autorf, where that gives the same model."""
    channels, classes = len(card.normalisation.mean), len(card.class_names)
    lines = plain_lines(card.spec.model, classes, channels, "PATH/OF/THIS/FOLDER") if card.plain else None
    if lines is None:
        return ""
    return (
        "Without autorf, by the network's own library, the dilation of every layer in `pattern.json`:\n\n"
        f"```python\n{lines}```\n\n"
    )


def _kind_of_image(card: Card) -> str:
    patches = getattr(card.spec.data, "patches", None)
    return "images" if patches is None else f"patches of {patches.size[0]} x {patches.size[1]} pixels"


def _input_words(card: Card) -> str:
    normalisation, (height, width) = card.normalisation, card.spec.data.image_size
    if normalisation.colours:
        return (
            f"RGB `(N, 3, {height}, {width})`, values 0 to 1, less the mean {normalisation.mean}, divided by "
            f"{normalisation.std}"
        )
    shape = f"`(N, {len(normalisation.mean)}, {height}, {width})`"
    return (
        f"{shape}, as the data set gives them (bytes divided by 255), each channel less its mean and divided by its "
        f"deviation; both are in `{FIGURES}`"
    )


def _length(card: Card) -> str:
    training = card.spec.training
    if training.steps is None:
        return f"{card.epochs} epochs"
    # Stopped early, it took fewer than the study gives.
    steps = min(training.steps, card.epochs * (training.validate_every or training.steps))
    return f"{steps} steps of {training.batch_size} images"


def _fixed_words(card: Card) -> str:
    return "; the field that the study found, fixed from the start" if card.fixed else ""


def _shipped(card: Card) -> dict[str, Any]:
    """Seed and own figures of the model that is shipped."""
    metrics = {} if card.metrics is None else card.metrics.metrics
    return {"seed": card.seeds[0], "metrics": {name: metric["seeds"][0] for name, metric in metrics.items()}}


def _metric_words(card: Card) -> str:
    if card.metrics is None and card.folds is not None:
        return (
            "## Metrics\n\nNone: there is no test split with labels, and every other image was trained on. What such a "
            f"model scores on images that it never saw, the study's {card.folds} folds tell: "
            f"`autorf compare {card.study}`.\n"
        )
    if card.metrics is None:
        return "## Metrics\n\nNone: no test split has labels, and the validation images were trained on.\n"
    where = {
        "test": "On the test split, which was evaluated once, by this retrain",
        "val": "On the validation split, by which the configuration was chosen: the figures are flattering. There is "
        "no test split with labels",
    }[str(card.split)]
    alone = len(card.seeds) == 1
    over = "images" if alone else "seeds and images"
    return f"""## Metrics

{where}: {card.metrics.n_images} images, with 95 % intervals over {over}.

{_metric_table(card.metrics.metrics, alone=alone)}
{_multiscale_words(card, alone=alone)}
{_class_table(card.metrics.per_class)}
"""


def _of_pictures(card: Card) -> bool:
    """Whether the model classifies whole pictures."""
    return card.spec.task == CLASSIFICATION.name


def _class_table(per_class: Mapping[str, Mapping[str, float | None]]) -> str:
    """What is told of every class."""
    titles = {"iou": "IoU", "f1": "F1", "accuracy": "accuracy"}
    names = list(next(iter(per_class.values()), {}))
    head = ["class", *(titles[name] for name in names)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for label, of_class in per_class.items():
        lines.append(f"| {' | '.join([label, *(_number(of_class[name]) for name in names)])} |")
    return "\n".join(lines)


def _metric_table(metrics: Mapping[str, dict[str, Any]], *, alone: bool) -> str:
    head = "| metric | value |\n|---|---|" if alone else "| metric | this model | mean over seeds |\n|---|---|---|"

    def own(metric: dict[str, Any]) -> str:
        return "" if alone else f"{metric['seeds'][0]:.4f} | "

    rows = (f"| {metric_name(name)} | {own(metric)}{with_interval(metric)} |" for name, metric in metrics.items())
    return "\n".join([head, *rows])


def _multiscale_words(card: Card, *, alone: bool) -> str:
    """The table over several sizes of the images; empty where none was asked for."""
    if card.multiscale is None:
        return ""
    evaluation = card.spec.evaluation
    mirrored = " and mirrored" if evaluation.flip else ""
    scales = ", ".join(f"{scale:g}" for scale in evaluation.all_scales)
    head = f"The same, class probabilities averaged over the image at scales {scales}{mirrored}:"
    return f"\n{head}\n\n{_metric_table(card.multiscale.metrics, alone=alone)}\n"


def with_interval(metric: dict[str, Any], digits: int = 4) -> str:
    """A metric's mean and its interval, of which nothing lies beyond 0 and 1."""
    mean, half = metric["mean"], metric["ci95"]
    if half is None:
        return f"{mean:.{digits}f}"
    if half <= min(mean, 1 - mean):
        return f"{mean:.{digits}f} ± {half:.{digits}f}"
    return f"{mean:.{digits}f} ({max(0.0, mean - half):.{digits}f} to {min(1.0, mean + half):.{digits}f})"


def _number(value: float | None) -> str:
    return "no label" if value is None else f"{value:.4f}"
