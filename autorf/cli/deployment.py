"""What the commands do that make a model of a study ready for use."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autorf.cli.exit_codes import DONE, FAILED_TRIALS
from autorf.cli.studies import study_name
from autorf.comparison.judging import metric_name
from autorf.deployment.model_card import with_interval
from autorf.deployment.retrain import Options, Outcome
from autorf.deployment.retrain import retrain as run
from autorf.errors import InputError, shown_place
from autorf.metrics import OVERALL
from autorf.tasks import CLASSIFICATION
from autorf.training.results import GROUP

if TYPE_CHECKING:
    from autorf.deployment.export_model import Exported


def retrain(
    study: str, root: Path, options: Options, *, force: bool, quiet: bool, accept_code_change: bool = False
) -> int:
    """Train what the study recommends and say how to load it."""
    outcome = run(
        root,
        study_name(study),
        options,
        force=force,
        quiet=quiet,
        code_folder=folder_of(study),
        accept_code_change=accept_code_change,
    )
    if outcome.note is not None:
        print(f"autorf: {outcome.note}", file=sys.stderr)
    if outcome.card is None:
        print(f"autorf: the retrain failed: {outcome.reason}; the same command continues", file=sys.stderr)
        return FAILED_TRIALS
    _print_card(outcome)
    return DONE


def folder_of(study: str) -> Path | None:
    """The folder of a study file, beside which its code lies; None for a name."""
    return Path(study).parent if Path(study).is_file() else None


def parse_seeds(text: str | None) -> tuple[int, ...] | None:
    """``"0,1,2"`` as numbers.

    Raises:
        InputError: for anything else.
    """
    if text is None:
        return None
    parts = text.split(",")
    if not all(part.strip().isdecimal() and len(part) < 20 for part in parts) or len(
        {int(part) for part in parts}
    ) < len(parts):
        raise InputError(f"--seeds {shown_place(text)}: different whole numbers from 0, such as 0,1,2")
    seeds = tuple(int(part) for part in parts)
    if max(seeds) >= 2**31:
        raise InputError(f"--seeds {shown_place(text)}: less than {2**31}")
    return seeds


def export(
    study: str,
    root: Path,
    trial: str | None,
    format: str,
    output: Path | None,
    *,
    opset: int | None = None,
    force: bool,
    accept_code_change: bool = False,
) -> int:
    """Write a model as ONNX or torch.export and say how near it is to the original."""
    from autorf.deployment.export import export as write

    exported = write(
        root,
        study_name(study),
        trial,
        format,
        output,
        opset=opset,
        force=force,
        code_folder=folder_of(study),
        accept_code_change=accept_code_change,
    )
    agreement = exported.agreement
    print(exported.path)
    print(f"  weights    {exported.source}")
    print(f"  input      {_input_words(exported)}")
    for axis, reason in exported.fixed.items():
        print(f"  fixed      {axis}: {reason}")
    if exported.opset is not None:
        print(f"  opset      {exported.opset}")
    difference, largest = f"{agreement.difference:.2g}", f"{agreement.largest:.3g}"
    sizes = ", ".join(f"{n} x {height} x {width}" for n, height, width in agreement.sizes)
    print(f"  checked    {exported.runtime}: scores differ by {difference} at most, of {largest}, on {sizes}")
    print(f"  folded     {', '.join(exported.folded) or 'nothing'}")
    for name, reason in exported.left.items():
        print(f"  left       {name}: {reason}")
    for unknown in ("field_unknown", "normalisation_unknown"):
        if unknown in exported.facts:
            print(f"  unsaid     {unknown.removesuffix('_unknown')}: {exported.facts[unknown]}")
    return DONE


def _input_words(exported: "Exported") -> str:
    batch, channels, height, width = exported.shape
    count = f"{'any number of' if batch is None else batch} images, {channels} x "
    if height is not None:
        return f"{count}{height} x {width}"
    ends = exported.facts["input"]
    step, (low, narrow) = ends["side_step"], ends["least_sides"]
    steps = "" if step == 1 else f", {step} px apart from the training size's"
    least = "" if max(low, narrow) == 1 else f", {low} x {narrow} and larger"
    return f"{count}any height and width{steps}{least}"


def _print_card(outcome: Outcome) -> None:
    card = outcome.card
    assert card is not None
    print(outcome.folder)
    if card.folds is not None:
        seed = f"; shipped is that of seed {card.seeds[0]}, the first" if len(card.seeds) > 1 else ""
        print(f"  trained on the {card.n_train} images of all {card.folds} folds: nothing validated this model{seed}")
    if card.metrics is None and card.folds is None:
        print("  no metrics: no test split with labels, and the validation images were trained on")
    elif card.metrics is None:
        print(f"  no metrics: no test split with labels; what its folds scored: autorf compare {card.study}")
    else:
        held = "" if card.split == "test" else ", which chose it: no test split has labels"
        for name, metric in _printed(card.metrics.metrics).items():
            shipped = "" if len(card.seeds) == 1 else f"{metric['seeds'][0]:.3f} (seed {card.seeds[0]}), seeds' mean "
            print(f"  {metric_name(name)} {shipped}{with_interval(metric, 3)} on the {card.split} split{held}")
    if card.multiscale is not None:
        print(f"  mIoU over several scales {with_interval(card.multiscale.metrics['miou'], 3)}")
    print("  load it:")
    print("".join(f"    {line}\n" for line in card.loading(str(outcome.folder.resolve())).splitlines()), end="")


def _printed(metrics: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """mIoU, and the F1 of the union of the inner parts where the data set has that group; of pictures all."""
    told = ("miou", f"{GROUP}{OVERALL}", *CLASSIFICATION.metrics)
    return {name: metric for name, metric in metrics.items() if name in told}
