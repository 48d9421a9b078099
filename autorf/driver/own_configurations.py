"""Search spaces for searches that the user owns: as Optuna suggests them and as Ray Tune draws them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autorf.driver.own_loop import check_space
from autorf.driver.sampling import branch_name
from autorf.driver.written_spaces import Spaces, written_spaces
from autorf.errors import InputError, shown
from autorf.methods import Method
from autorf.study.own_loop import ARGUMENTS
from autorf.study.search_space import Axis, drawn, read_spaces, split
from autorf.study.search_space import Space as ParsedSpace

if TYPE_CHECKING:
    import optuna

METHOD = "method"
"""The parameter that says which entry of the space is meant; those of the entry begin with its name."""


def branches_of(function: str, space: Spaces) -> dict[str, ParsedSpace]:
    """The entries of a search space by their names: the method's, numbered where several have one method.

    Raises:
        InputError: for a space that names no method, or an axis that a function does not read.
    """
    spaces = read_spaces(written_spaces(function, space), f"{function}: space")
    for parsed in spaces:
        check_space(parsed)
        for axis in parsed.axes:
            _check_ends(parsed, axis)
    return {branch_name(spaces, at): parsed for at, parsed in enumerate(spaces)}


def _check_ends(space: ParsedSpace, axis: str) -> None:
    first = {name: each.ends()[0] for name, each in space.axes.items()}
    for value in space.axes[axis].ends():
        split({"method": space.method, **first, axis: value}, space.source)


def suggested(trial: "optuna.Trial", branches: Mapping[str, ParsedSpace], source: str) -> tuple[Method, dict[str, Any]]:
    """A configuration that an Optuna trial suggests: the method, and the function's own arguments.

    Raises:
        InputError: for values that exclude each other.
    """
    branch = trial.suggest_categorical(METHOD, list(branches))
    space = branches[branch]
    values = {name: _suggested(trial, f"{branch}.{name}", axis) for name, axis in space.axes.items()}
    return method_and_arguments({"method": space.method, **values}, source)


def _suggested(trial: "optuna.Trial", name: str, axis: Axis) -> Any:
    if axis.range is not None:
        low, high = axis.range.low, axis.range.high
        if axis.whole:
            return trial.suggest_int(name, int(low), int(high), log=axis.range.log)
        return drawn(axis, trial.suggest_float(name, low, high, log=axis.range.log))
    if len(axis.choices) == 1:
        return axis.choices[0]
    if all(value is None or isinstance(value, bool | int | float | str) for value in axis.choices):
        return trial.suggest_categorical(name, list(axis.choices))
    # Optuna stores no lists; which one it is says its place.
    return axis.choices[trial.suggest_categorical(f"{name} (number)", list(range(len(axis.choices))))]


def method_and_arguments(configuration: Mapping[str, Any], source: str) -> tuple[Method, dict[str, Any]]:
    """The method of a configuration, and the function's own arguments by their names.

    Raises:
        InputError: naming the field and the value.
    """
    method, settings = split(configuration, source)
    return method, {key.removeprefix(ARGUMENTS): value for key, value in settings.items()}


def tune_space(space: Spaces) -> dict[str, Any]:
    """A search space as Ray Tune's ``param_space``, for whoever runs ``ray.tune.Tuner`` themselves.

    The training function reads what was drawn by :func:`autorf.tuned_method`. Every entry's axes are drawn, and those
    of the entry that was drawn are read; so a search algorithm sees numbers as numbers.

    Args:
        space: as for :func:`autorf.search`.

    Returns:
        ``{"method": ..., "METHOD.FIELD": ...}`` of Ray Tune's distributions; put further parameters of your own beside.

    Raises:
        InputError: for a space that names no method, or without Ray.

    Examples:
        >>> import autorf
        >>> space = autorf.tune_space({"method": "dilation", "rate": [1, 2, 4], "targets": "layer4"})
        >>> sorted(space)
        ['dilation.rate', 'dilation.targets', 'method']
        >>> autorf.tuned_method({"method": "dilation", "dilation.rate": 2, "dilation.targets": "layer4"})
        Dilation(method='dilation', targets='layer4', rate=2)
    """
    branches = branches_of("tune_space", space)
    try:
        from ray import tune
    except ImportError:
        raise InputError("tune_space needs Ray Tune: pip install 'ray[tune]'") from None

    def domain(axis: Axis) -> Any:
        if axis.range is None:
            return tune.choice(list(axis.choices))
        low, high = axis.range.low, axis.range.high
        if axis.whole:
            # Ray leaves the upper end out.
            return (tune.lograndint if axis.range.log else tune.randint)(int(low), int(high) + 1)
        return (tune.loguniform if axis.range.log else tune.uniform)(low, high)

    axes = {f"{branch}.{name}": domain(axis) for branch, each in branches.items() for name, axis in each.axes.items()}
    return {METHOD: tune.choice(list(branches)), **axes}


def tuned_method(config: Mapping[str, Any]) -> Method:
    """The method that Ray Tune drew from :func:`autorf.tune_space`: what ``autorf.adapt`` takes.

    Args:
        config: what the training function was given; what is not of the space is left alone. An axis
            ``model.args.NAME`` is read as ``config["METHOD.model.args.NAME"]``.

    Raises:
        InputError: for a config that was not drawn from such a space, or values that exclude each other.

    Examples:
        >>> import autorf
        >>> autorf.tuned_method({"method": "dilation", "dilation.rate": 4, "lr": 0.1}).rate
        4
    """
    branch = config.get(METHOD) if isinstance(config, Mapping) else None
    if not isinstance(branch, str):
        raise InputError(f"tuned_method takes the config of a trial drawn from autorf.tune_space, got {shown(config)}")
    values = {key.removeprefix(f"{branch}."): value for key, value in config.items() if key.startswith(f"{branch}.")}
    return method_and_arguments({"method": branch.partition("#")[0], **values}, "tuned_method")[0]
