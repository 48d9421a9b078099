"""What to use: the smallest receptive field of the manual grid on which nothing is lost, in words and numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autorf.comparison.equal import trained_alike
from autorf.comparison.groups import Group, mean_of, members_of
from autorf.comparison.images import ImageNoise
from autorf.comparison.judging import best_first, score_table
from autorf.comparison.looks import Look
from autorf.comparison.rows import Row
from autorf.comparison.sufficient import LEVEL, SufficientField, sufficient_field
from autorf.errors import InputError
from autorf.study.objectives import COSTS, is_metric, sign

MOST_NAMES = 3
"""Of more configurations than this, the first and the last are named."""


@dataclass(frozen=True)
class Recommendation:
    """The smallest sufficient field of the manual grid; see :class:`autorf.comparison.sufficient.SufficientField`.

    Attributes:
        text: what to use, what a smaller and a larger field lose, and what the grid looks like.
        rf_low, rf_high: the fields in which nothing is lost, the longer side in input pixels; None while undecided.
        highest: the field with the highest mean, to use while undecided, the longer side; None without a grid.
        shape: ``plateau``, ``peak``, ``rise`` or ``undecided``.
        loses_below, loses_above: what the next smaller and the next larger field lose; None where the grid ends.
        margin: what may be lost.
        confidence: that the smallest sufficient field loses no more.
        smallest_sufficient: ``method``, ``params``, ``keys`` and ``rf`` ``[h, w]`` of its configuration; None while
            undecided.
        grid_size: of how many fields the grid is, where not all were trained; None where all were.
        seeds_needed: how many seeds a configuration would decide; None where that is not the question.
        saves: what the smallest sufficient field takes and what the best of the grid takes, by name: ``halo`` in
            pixels, and ``parameters``, ``flops``, ``latency_ms``, ``peak_memory_mb`` where they were measured and
            differ.
    """

    text: str
    margin: float
    confidence: float | None = None
    rf_low: float | None = None
    rf_high: float | None = None
    highest: float | None = None
    shape: str = "undecided"
    loses_below: float | None = None
    loses_above: float | None = None
    smallest_sufficient: dict[str, Any] | None = None
    grid_size: int | None = None
    seeds_needed: int | None = None
    saves: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def recommendation_of(
    groups: Sequence[Group],
    rows: Sequence[Row],
    noise: ImageNoise,
    margin: float,
    *,
    looks: Sequence[Look] = (),
    grid_size: int | None = None,
) -> Recommendation:
    """Recommend a field of the manual grid, its complete configurations of equal training that keep the limits.

    Args:
        groups, rows: of the study.
        noise: of the same rows.
        margin: what may be lost.
        looks: at how many seeds the grid is tested; one look at all without.
        grid_size: of how many configurations the grid is, where not all are trained.

    Raises:
        InputError: for a margin that is not above 0.
    """
    if not margin > 0:
        raise InputError(f"margin: {margin:g} is not above 0; give what may be lost of the metric, such as 0.01")
    if not is_metric(noise.metric):
        return Recommendation(f"No field is recommended: {noise.metric}, the first objective, is a cost.", margin)
    grid = best_first(manual_grid(groups), sign(noise.metric))
    if not grid:
        return Recommendation("No field is recommended: no manual configuration is complete.", margin)
    answer = grid_answer(grid, rows, noise, margin, looks)
    among = grid_size if grid_size is not None and grid_size > len(grid) else None
    smallest = None if answer.index is None else grid[answer.index]
    saves = {} if smallest is None or answer.best is None else _savings(smallest, grid[answer.best], rows)
    return Recommendation(
        text=" ".join([*_sentences(answer, grid, saves), *_among(len(grid), among)]),
        margin=margin,
        confidence=answer.confidence,
        rf_low=answer.rf_low,
        rf_high=answer.rf_high,
        highest=_side(grid[answer.best or 0]),
        shape=answer.shape,
        loses_below=answer.loses_below,
        loses_above=answer.loses_above,
        smallest_sufficient=None if smallest is None else _described(smallest),
        grid_size=among,
        seeds_needed=answer.seeds_needed,
        saves=saves,
    )


def manual_grid(groups: Sequence[Group]) -> list[Group]:
    """Of the manual configurations that keep the limits those of one study and the most common length."""
    manual = [group for group in groups if group.manual and group.feasible]
    alike = [[other for other in manual if _trained_alike(group, other)] for group in manual]
    return max(alike, key=len, default=[])


def _trained_alike(group: Group, other: Group) -> bool:
    # Stopped early, configurations of one study were trained by one rule, which the comparison's notes say.
    by_one_rule = bool(group.stopped or other.stopped)
    return group.study == other.study and (by_one_rule or trained_alike(group, other))


def grid_answer(
    grid: Sequence[Group], rows: Sequence[Row], noise: ImageNoise, margin: float, looks: Sequence[Look] = ()
) -> SufficientField:
    """The smallest sufficient field of configurations of equal training, by their index in ``grid``.

    The answer of the first look that names one, else of the last.
    """
    images = noise.of_pairs(grid, grid)
    seeds = sorted({seed for group in grid for seed in group.seeds})
    for look in looks or (Look(tuple(seeds), LEVEL),):
        answer = sufficient_field(
            [_side(group) for group in grid],
            score_table(grid, rows, [seed for seed in seeds if seed in look.seeds]) * sign(noise.metric),
            margin=margin,
            level=look.level,
            image_variances=0.0 if images is None else images,
            n_images=0 if images is None else noise.n_images,
        )
        if answer.index is not None:
            break
    # The looks share the chance of a false claim.
    return replace(answer, confidence=1 - LEVEL)


def _among(n_trained: int, grid_size: int | None) -> Iterator[str]:
    """That the claim is about what was trained, where the sampler left some of the grid out."""
    if grid_size is not None:
        yield f"Among the {n_trained} fields trained, of {grid_size} in the grid."


def _side(group: Group) -> float:
    return max(group.rf)


def _described(group: Group) -> dict[str, Any]:
    return {"method": group.method, "params": group.params, "keys": group.keys, "rf": group.rf, "study": group.study}


def _savings(smallest: Group, best: Group, rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
    pairs = {"halo": ((_side(smallest) - 1) / 2, (_side(best) - 1) / 2)}
    for name in COSTS:
        ours, theirs = (_measured(group, rows, name) for group in (smallest, best))
        if ours is not None and theirs is not None:
            pairs[name] = (ours, theirs)
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _measured(group: Group, rows: Sequence[Row], name: str) -> float | None:
    return mean_of({seed: row.measured.get(name) for seed, row in members_of(group, rows).items()})


def _sentences(
    answer: SufficientField, grid: Sequence[Group], saves: Mapping[str, tuple[float, float]]
) -> Iterator[str]:
    if answer.index is None:
        yield _undecided(answer, grid)
        return
    yield _use(answer, grid)
    yield _shape(answer)
    if answer.ties:
        yield f"Of the same field: {_names([grid[index] for index in answer.ties])}."
    if saves:
        yield f"Against the best of the grid ({_pixels(_side(grid[answer.best or 0]))}) it takes {_saved(saves)}."


def _use(answer: SufficientField, grid: Sequence[Group]) -> str:
    names = _names([grid[index] for index in answer.sufficient])
    losses = [
        _loses(_side(grid[index]), loss, answer.margin)
        for index, loss in ((answer.below, answer.loses_below), (answer.above, answer.loses_above))
        if index is not None and loss is not None
    ]
    rest = f"; {', '.join(losses)}" if losses else ""
    return f"Use a field of {_range(answer)} ({names}){rest}."


def _range(answer: SufficientField) -> str:
    low, high = answer.rf_low or 0.0, answer.rf_high or 0.0
    return _pixels(low) if low == high else f"{low:g} to {_pixels(high)}"


def _pixels(side: float) -> str:
    return f"{round(side, 1):g} px"


def _loses(side: float, loss: float, margin: float) -> str:
    if loss <= margin:
        return f"{_pixels(side)} may lose more than the margin (mean {_decimals(loss)})"
    return f"{_pixels(side)} loses {_decimals(loss)}"


def _decimals(value: float) -> str:
    """Three digits behind the point, without the nought before it."""
    return f"{value:.3f}".replace("0.", ".", 1)


def _shape(answer: SufficientField) -> str:
    ground = f"(margin {_decimals(answer.margin)}, {answer.confidence:.0%}".replace("%", " %") + ")"
    if answer.shape == "plateau":
        return f"From {_pixels(answer.rf_low or 0.0)} on nothing is lost {ground}."
    if answer.shape == "peak":
        return f"A peak: nothing is lost there {ground}, and larger fields lose."
    if answer.shape == "rise":
        return f"Only the largest field loses nothing {ground}: the grid ends before the plateau, add larger fields."
    return f"Nothing is lost there {ground}; whether larger fields lose is undecided."


def _undecided(answer: SufficientField, grid: Sequence[Group]) -> str:
    """What to use until more is known: the highest mean, or the only field."""
    if answer.best is None:
        only = f"For now use {_with_field(grid[0])}, the only field"
        return f"{only}; undecided is whether another does better: {_lacks(answer)}."
    highest = f"For now use {_with_field(grid[answer.best])}, the highest mean"
    return f"{highest}; undecided is whether a smaller field would do: {_lacks(answer)}."


def _lacks(answer: SufficientField) -> str:
    if answer.seeds_needed is not None:
        return f"{answer.seeds_needed} seeds a configuration would tell"
    return f"missing is {answer.missing}"


def _with_field(group: Group) -> str:
    return f"{_pixels(_side(group))} ({_names([group])})"


def _names(groups: Sequence[Group]) -> str:
    """``dilation 2 or 3``; configurations of other parameters by their setting."""
    simple = all(set(group.params) == {"rate"} and np.isscalar(group.params["rate"]) for group in groups)
    if not simple or len({group.method for group in groups}) > 1:
        return _listed([f"{group.method} {group.setting}" for group in groups])
    rates = sorted({group.params["rate"] for group in groups})
    return f"{groups[0].method} {_listed([f'{rate:g}' for rate in rates])}"


def _listed(names: Sequence[str]) -> str:
    if len(names) > MOST_NAMES:
        return f"{names[0]} to {names[-1]}"
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


_UNITS = {"parameters": "parameters", "flops": "FLOPs", "latency_ms": "ms latency", "peak_memory_mb": "MB peak memory"}


def _saved(saves: Mapping[str, tuple[float, float]]) -> str:
    words = []
    for name, (ours, theirs) in saves.items():
        if name == "halo":
            words.append(f"a halo of {ours:.4g} instead of {theirs:.4g} px")
        else:
            words.append(f"{ours:.4g} instead of {theirs:.4g} {_UNITS[name]}")
    return ", ".join(words)
