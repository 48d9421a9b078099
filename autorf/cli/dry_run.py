"""``autorf search --dry-run``: what would run, how long and how large, without training anything."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from autorf.cli.exit_codes import DONE
from autorf.cli.layer_lines import layer_lines
from autorf.cli.piped import console_for
from autorf.data.cache_place import cache_folder
from autorf.data.fold_spec import n_train_of, n_val_of
from autorf.driver.beyond_the_image import beyond_the_image
from autorf.driver.places import placed
from autorf.driver.plan import StudyPlan, plan
from autorf.driver.pruning import Asha
from autorf.methods import is_manual
from autorf.networks.place import Place
from autorf.own_code.importing import importable
from autorf.own_code.reference import is_reference
from autorf.store.store import beginning
from autorf.study.objectives import is_metric
from autorf.study.scale import scored
from autorf.study.spec import StudySpec, counted
from autorf.study.trial import Trial, key_of, side_text, spec_of
from autorf.training.spec import TrainingSpec

if TYPE_CHECKING:
    from autorf.driver.estimate import Estimate
    from autorf.running.at_start import AtStart


def dry_run(spec: StudySpec, source: str, root: Path) -> int:
    """Print the study's trials with the receptive field, time and memory of each, and train nothing."""
    with importable(spec.code):
        return _dry_run(spec, source, root)


def _cache_of(root: Path) -> Path | None:
    """Where decoded pictures are kept, if anywhere: a dry run leaves nothing behind."""
    folder = cache_folder(root)
    return folder if folder.is_dir() else None


def _dry_run(spec: StudySpec, source: str, root: Path) -> int:
    from autorf.data import load
    from autorf.driver.estimate import estimates, kind_of, study_seconds
    from autorf.executors import worker_count
    from autorf.running.at_start import at_start

    defaults = beginning(root, spec)
    spec = defaults.completed(scored(spec, source)).with_cache(_cache_of(root))
    planned = plan(spec, source, root, defaults)
    spec = placed(spec, planned.places)
    spec = counted(spec, planned.n_train, source)
    splits = load(spec.data, cache=spec.cache)
    measured = estimates(spec, planned.examples, splits)
    distinct = {(trial.method, trial.network): trial for trial in reversed(planned.trials)}
    networks = {kind: at_start(spec, trial, splits.class_names) for kind, trial in distinct.items()}

    def seconds(trial: Trial) -> float:
        training = spec_of(spec, trial).training
        n_train, n_val = n_train_of(spec.data, len(splits.train)), n_val_of(spec.data, splits.n_val_areas)
        return measured[kind_of(trial)].trial_seconds(training, n_train, n_val)

    title = f"{spec.name}: {_count(planned, spec)}, {_length(planned, spec)}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    fold = ("fold",) if planned.folds else ()
    columns = ("key", "method", "setting", "seed", *fold, "rf at start", "rnorm", "parameters", "time", "memory")
    for column in columns:
        table.add_column(column, justify="left" if column in ("key", "method", "setting") else "right", no_wrap=True)
    for trial in planned.trials:
        key = key_of(defaults.to_stored(trial.configuration), trial.seed)
        cells = _cells(key, trial, networks[trial.method, trial.network])
        table.add_row(*cells, _time(seconds(trial)), f"{measured[kind_of(trial)].memory_mb} MB")
    console = console_for(table)
    console.print(table)
    lengths = [seconds(trial) for trial in planned.trials]
    if planned.spaces:
        examples = sorted(planned.examples, key=lambda trial: trial.method.method)
        for trial in examples:
            network = "".join(f", {key} {value}" for key, value in trial.network)
            cost = f"{_time(seconds(trial))}, {measured[kind_of(trial)].memory_mb} MB"
            console.print(f"a trial of {trial.method.method}{network}: about {cost}", highlight=False)
        drawn = (planned.n_configurations or 0) * planned.trials_each - len(lengths)
        lengths += [sum(map(seconds, examples)) / len(examples)] * max(0, drawn)
    workers = min(worker_count(spec), len(lengths))
    console.print(_summary(planned, spec, workers, study_seconds(lengths, workers)), highlight=False, soft_wrap=True)
    far = beyond_the_image(
        "Every trial", min((network.field.rnorm for network in networks.values()), default=0.0), spec
    )
    scaled = _scaled((trial.method.method, measured[kind_of(trial)]) for trial in planned.examples)
    layers = layer_lines((method.method, network.layers) for (method, _), network in networks.items())
    for line in [*scaled, *layers, _weights(spec), *([far] if far else []), *_places(planned, spec)]:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    for warning in planned.warnings:
        print(f"autorf: warning: {warning}", file=sys.stderr)
    return DONE


def _count(planned: StudyPlan, spec: StudySpec) -> str:
    n_listed = len(planned.trials)
    if planned.bisected:
        seeds = f"up to {len(planned.seeds)} seeds"
        trials = "1 trial" if n_listed == 1 else f"{n_listed} trials"
        return f"{trials} first, then of {len(planned.bisected)} fields those that matter under {seeds}"
    if not planned.spaces:
        return f"{n_listed} trials{_in_folds(planned)}"
    more = planned.n_configurations
    drawn = f"up to {more * planned.trials_each} trials" if more else "trials until the time is spent"
    return f"{drawn} drawn by {spec.search.sampler}, beginning with {n_listed}"


def _in_folds(planned: StudyPlan) -> str:
    """How the number of trials comes about where the data is in folds."""
    if planned.folds is None:
        return ""
    n, seeds = planned.n_configurations or 0, len(planned.seeds)
    words = f"{n} configuration{'s' * (n != 1)} x {seeds} seed{'s' * (seeds != 1)} x {planned.folds} folds"
    baseline = "" if planned.baseline is None else f", and the baseline in {planned.folds}"
    return f" ({words}{baseline}; {n * seeds} replicate{'s' * (n * seeds != 1)})"


def _length(planned: StudyPlan, spec: StudySpec) -> str:
    def length(training: TrainingSpec) -> int:
        return training.steps or training.epochs

    given = length(spec.training)
    longest = max(length(spec_of(spec, trial).training) for trial in planned.examples)
    more = f" ({longest} where a search takes more)" if longest > given else ""
    return f"{given} {'steps' if spec.training.in_steps else 'epochs'} each{more}"


def _cells(key: str, trial: Trial, network: "AtStart") -> tuple[str, ...]:
    rf, rnorm = side_text(network.field.rf), f"{network.field.rnorm:.2f}"
    fold = () if trial.fold is None else (str(trial.fold),)
    return key, trial.method.method, trial.setting, str(trial.seed), *fold, rf, rnorm, str(network.parameters)


def _summary(planned: StudyPlan, spec: StudySpec, workers: int, seconds: float) -> str:
    n_trials = (planned.n_configurations or 0) * planned.trials_each or len(planned.trials)
    lines = [f"{n_trials} trials, {workers} at once: about {_time(seconds)}, from one measured step a method"]
    if spec.search.pruning is not None:
        asha = Asha(spec.search.pruning.min_epochs, spec.search.pruning.reduction, spec.training.validations)
        rungs = ", ".join(str(rung) for rung in asha.rungs)
        unit = "validations" if spec.training.in_steps else "epochs"
        lines.append(f"Pruning after {rungs} {unit}, where the best 1/{asha.reduction} go on: less than that.")
    if spec.search.budget is not None and spec.search.budget.hours is not None:
        lines.append(f"Budget: {spec.search.budget.hours:g} hours; no trial begins after that.")
    if spec.search.controls and is_metric(spec.search.objectives[0]) and _compares(planned):
        lines.append(
            "Then controls: the best manual configurations, trained as long as the best learned one in steps and in "
            "cost (search.controls: false for none); their time comes on top."
        )
    if planned.prior is not None:
        lines.append(f"Ordered by how near rnorm is to the prior {planned.prior:.2f}, behind the default.")
    return "\n".join(lines)


def _scaled(estimates: Iterable[tuple[str, "Estimate"]]) -> list[str]:
    """Of which methods time and memory were scaled, and from what."""
    methods: dict[tuple[tuple[int, ...], int], dict[str, None]] = {}
    for method, estimate in estimates:
        if estimate.scaled_from is not None:
            methods.setdefault(estimate.scaled_from, {})[method] = None
    return [
        f"Time and memory of {', '.join(names)}: scaled from {' and '.join(f'{side} x {side}' for side in sides)} px, "
        f"batch {n_images}; the first step of a search is of the study's own size."
        for (sides, n_images), names in methods.items()
    ]


def _weights(spec: StudySpec) -> str:
    """What weights every trial begins with."""
    model = spec.model
    if model.weights is not None:
        return f"Weights: {model.weights} (model.weights)."
    if model.encoder_weights is not None:
        return f"Weights: the encoder's from {model.encoder_weights}, the others random (model.encoder_weights)."
    if is_reference(model.name):
        return f"Weights: those that {model.name} gives its network."
    if model.pretrained:
        return "Weights: the backbone's published ones, the others random (model.pretrained)."
    return "Weights: random weights; model.pretrained: true loads published ones, model.encoder_weights a file's."


def _places(planned: StudyPlan, spec: StudySpec) -> Iterator[str]:
    """What methods without targets change, as lines to paste into the search space."""
    networks: dict[tuple[tuple[str, ...], tuple[str, str] | None], list[str]] = {}
    for place in planned.places:
        networks.setdefault((place.targets, place.region), []).append(_difference(place, spec))
    for (targets, region), differences in networks.items():
        named = " or ".join(filter(None, differences))
        yield f"{spec.model.name}{named and f' with {named}'} where no targets are named (a search keeps to these):"
        yield f"targets: {json.dumps(targets)}"
        if region is not None:
            yield f"start: {region[0]}"
            yield f"end: {region[1]}"


def _difference(place: Place, spec: StudySpec) -> str:
    """The keys of a network that are not the study's own, in a few words."""
    own = spec.model.network
    arguments = {f"args.{name}": value for name, value in place.network.get("args", {}).items()}
    others = {key: value for key, value in place.network.items() if key != "args" and own.get(key) != value}
    given = {f"args.{name}": value for name, value in own.get("args", {}).items()}
    changed = {**{name: value for name, value in arguments.items() if given.get(name) != value}, **others}
    return ", ".join(f"model.{name} {value}" for name, value in changed.items())


def _compares(planned: StudyPlan) -> bool:
    """Whether there are both manual and learned configurations, so that controls can follow."""
    trials = (*planned.configurations, *planned.examples)
    return len({is_manual(trial.method.method) for trial in trials if trial.method.trained}) == 2


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
