"""Search with a training function of one's own: everything that a study file's trials have, for the user's loop."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autorf.comparison import Comparison, compare_studies, results_of
from autorf.driver.own_loop import search_own_loop
from autorf.driver.written_spaces import Spaces, check_function, check_metric, class_names, written_spaces
from autorf.errors import InputError, SearchWarning, shown
from autorf.ops._arguments import check_path, image_sides, whole_number
from autorf.own_code.function import code_of_function
from autorf.own_code.importing import active_digest
from autorf.running.loop_trial import LoopTrial
from autorf.specification import parse
from autorf.store.store import open_store
from autorf.study.checks import check_seeds
from autorf.study.own_loop import OwnLoopSpec
from autorf.study.spec import counted
from autorf.study.study_name import checked_name

SEARCH = "search"


def search(
    train: Callable[[LoopTrial], object],
    space: Spaces,
    *,
    name: str,
    steps: int,
    seeds: int | Sequence[int] = (0,),
    metric: str = "miou",
    classes: int | Sequence[str] | None = None,
    image_size: int | tuple[int, int] | None = None,
    search: Mapping[str, Any] | None = None,
    tracking: Mapping[str, Any] | None = None,
    root: str | Path = "runs",
    executor: str | Mapping[str, Any] = "local",
    workers: int | None = None,
    retry_failed: bool = False,
    quiet: bool = False,
    accept_code_change: bool = False,
) -> Comparison:
    """Search a space with a training function of your own, and compare manual and learned receptive fields.

    The function is called once a trial and trains it: it builds its model, gives it to ``trial.adapt`` or
    ``trial.attach``, trains for ``trial.steps`` optimizer steps, and reports with ``trial.report``; see
    :class:`autorf.LoopTrial`. Everything else is as with a study file: a study killed at any moment goes on by the
    same call, finished trials are not run again, and ``autorf compare NAME`` and ``autorf report NAME`` work on it
    without the function.

    Args:
        train: ``train(trial)``. Its code, and all that it imports of yours, is remembered, and other code refused when
            the study goes on; of a function that only this program has, such as a lambda, its own text.
        space: what is searched: built-in names such as ``"dilation"``, paths, ``{"method": "dilation", "rate":
            [1, 2, 4]}``, methods such as ``autorf.Dilation(rate=2, targets=...)``, or a list of these. An axis
            ``model.args.NAME`` is read as ``trial.args["NAME"]``.
        name: of the study and its folder.
        steps: optimizer steps of a training; a method may lengthen it, and controls do.
        seeds: one or several; each configuration is trained under each.
        metric: that is compared: ``miou``, ``f1`` or ``pixel_accuracy``.
        classes: names of the classes, or how many there are; None where confusions tell.
        image_size: side or ``(height, width)`` in pixels of the images, for each trial's receptive field.
        search: the keys of a study file's ``search:``, such as ``{"sampler": "tpe", "budget": {"trials": 30}}``. A
            ``pruning`` counts reports, so its trials have to report at the same steps.
        tracking: the keys of a study file's ``tracking:``.
        root: the folder of all studies.
        executor: ``"local"`` or ``"ray"``, or the keys of a study file's ``executor:``.
        workers: processes that train at once, each importing the function, which then stands at the top of a module or
            script (whose call of this function stands under ``if __name__ == "__main__":``). None or 1 trains in this
            process, any function.
        retry_failed: run failed trials again.
        quiet: print nothing but problems.
        accept_code_change: keep the trials of a study whose code has changed.

    Returns:
        What ``autorf compare`` says; its ``answer`` says what to use.

    Raises:
        InputError: for an argument out of range, a space that names no method, a function that other processes cannot
            import, another study of that name, or code or arguments that changed since the study began.

    Examples:
        >>> import autorf, tempfile, torch
        >>> from torch import nn
        >>> def train(trial: autorf.LoopTrial) -> None:
        ...     model = trial.adapt(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 1)))
        ...     optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        ...     for step in range(trial.steps):
        ...         images = torch.rand(2, 3, 16, 16)
        ...         loss = nn.functional.cross_entropy(model(images), (images.mean(1) > 0.5).long())
        ...         optimizer.zero_grad()
        ...         loss.backward()
        ...         optimizer.step()
        ...     trial.report(trial.steps, miou=0.5)
        >>> space = {"method": "dilation", "rate": [1, 2], "targets": "0"}
        >>> with tempfile.TemporaryDirectory() as root:
        ...     comparison = autorf.search(
        ...         train, space, name="mine", steps=2, image_size=16, root=root, quiet=True
        ...     )
        >>> [(group.method, group.rf) for group in comparison.groups]
        [('dilation', [3.0, 3.0]), ('dilation', [5.0, 5.0])]
    """
    if active_digest() is not None:
        raise InputError(
            'search is called while a worker imports the module of train; put the call under if __name__ == "__main__":'
        )
    check_path(SEARCH, "root", root)
    check_function(SEARCH, train)
    place: dict[str, Any] = {"kind": executor} if isinstance(executor, str) else _keys("executor", executor)
    if workers is not None:
        place["workers"] = whole_number(SEARCH, "workers", workers, most=1024)
    inline = place.get("kind", "local") == "local" and place.get("workers") in (None, 1)
    loop, code = code_of_function(train, other_processes=not inline)
    keys = _keys("search", search)
    values = {
        "name": checked_name(name, "search: name"),
        "data": {"name": "own_loop", "image_size": _sides(image_size), "classes": class_names(SEARCH, classes)},
        "loop": loop,
        "search_space": written_spaces(SEARCH, space),
        "training": {"steps": whole_number(SEARCH, "steps", steps), "validate_every": 1, "seeds": _seeds(seeds)},
        "search": {**keys, "objectives": _objectives(metric, keys)},
        "executor": place,
        "tracking": _keys("tracking", tracking),
    }
    spec = parse(OwnLoopSpec, values, SEARCH)
    _check(spec)
    folder = Path(root)
    outcome = search_own_loop(
        spec.with_code(code), SEARCH, folder, train, inline=inline, retry_failed=retry_failed, quiet=quiet,
        accept_code_change=accept_code_change,
    )  # fmt: skip
    store = open_store(folder, spec.name)
    for line in outcome.warnings:
        warnings.warn(line, SearchWarning, stacklevel=2)
    if outcome.failed:
        reason = next(record.reason for record in store.records() if record.state == "failed")
        warnings.warn(
            f"{outcome.failed} of {outcome.total} trials of {spec.name} failed, such as for: {reason}; repair it, and "
            "give retry_failed=True",
            SearchWarning,
            stacklevel=2,
        )
    return compare_studies([results_of(store)])


def _objectives(metric: Any, search: Mapping[str, Any]) -> list[str]:
    name = check_metric(SEARCH, metric)
    objectives = search.get("objectives", [name])
    if not isinstance(objectives, list | tuple) or not objectives or objectives[0] != name:
        raise InputError(f"search: objectives {shown(objectives)}: the first one is the metric, {name}; give metric=")
    return list(objectives)


def _keys(name: str, section: Any) -> dict[str, Any]:
    """A part of a study file that is given as keys and values."""
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        raise InputError(
            f"search: {name} takes the keys of a study file's {name}: and their values, got {shown(section)}"
        )
    return {str(key): value for key, value in section.items()}


def _sides(image_size: Any) -> tuple[int, int]:
    if image_size is None:
        raise InputError(
            "search: image_size is missing: give the height and width of the images in pixels, for each trial's "
            "receptive field"
        )
    return image_sides(SEARCH, image_size)


def _seeds(seeds: Any) -> list[int]:
    listed = seeds if isinstance(seeds, Sequence) and not isinstance(seeds, str) else [seeds]
    return [whole_number(SEARCH, "seeds", seed, least=0) for seed in listed]


def _check(spec: OwnLoopSpec) -> None:
    """Raise ``InputError`` for what a function's trainings cannot have."""
    if spec.executor.resources.count > 1:
        raise InputError("search: executor.resources: train is one process a trial; give it one GPU, or a share of it")
    check_seeds(spec, SEARCH)
    counted(spec, 1, SEARCH)
