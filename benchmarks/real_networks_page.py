"""The page of ``real_networks.py``: tables of what is complete, and what is missing."""

import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from autorf.comparison import results_of
from autorf.comparison.rows import Row, rows_of
from autorf.files import write_atomically
from autorf.methods import LearnedDilation, is_manual
from autorf.statistics import half_width
from autorf.store.store import open_store
from autorf.study.spec import parse_study
from autorf.study.trial import grid

PAGE = Path(__file__).parent / "results" / "real_networks.md"
PAIRS = {
    "unet_camvid": "U-Net, CamVid",
    "unet_fasseg": "U-Net, FASSEG",
    "deeplab_camvid": "DeepLabV3+, CamVid",
}
MORE_SEEDS = {"unet_fasseg": "unet_fasseg_seeds"}
"""Studies that hold further seeds of another study's grid."""
PAPERS_SETTING = {"sampling": "soft", "evaluation": "hard"}
"""Of pixel-adaptive convolution, which is trained beside the default."""
NEAR = 0.01
"""How far below the grid's best mean that of a fixed dilation may lie."""

Study = Mapping[str, Any]
Groups = dict[str, list[Row]]


def write(root: Path, parts: Sequence[tuple[str, Study]]) -> None:
    """Write the page of what is complete under ``root``; ``parts`` are studies by their part's name."""
    text = "\n".join(page({study["name"]: complete(root, study["name"]) for _, study in parts}, parts))
    print(text)
    write_atomically(PAGE, text + "\n")


def complete(root: Path, name: str) -> list[Row]:
    """The complete trials of a study; none where it has not begun."""
    if not (root / name).exists():
        return []
    return [row for row in rows_of(results_of(open_store(root, name))) if row.counts]


def page(rows: Mapping[str, list[Row]], parts: Sequence[tuple[str, Study]]) -> list[str]:
    """The page's lines."""
    # A learned training is compared with the grid under its own seeds, a dilation with another under all there are.
    main, grid_means = rows["unet_camvid"], {name: means_of_grid(rows[name]) for name in PAIRS}
    grids = {name: [*rows[name], *rows.get(MORE_SEEDS.get(name, ""), [])] for name in PAIRS}
    lines = [
        "# Real networks",
        "",
        f"{datetime.now(UTC).date()}, {platform.machine()}, torch {torch.__version__}, one thread a training, random",
        "weights, validation mIoU; `python benchmarks/real_networks.py --camvid DIR --fasseg DIR --root DIR`, then",
        "`--page`. The targets are the three stride-1 layers of `encoder.layer2`; learned dilation chooses among the",
        "grid's dilations, from the network's own, 1. 360 steps of 8 pictures where nothing else is said, all under",
        "bfloat16's autocast.",
        "",
        *missing(rows, parts),
    ]
    for name, title in PAIRS.items():
        if rows[name]:
            lines += [f"## {title}: one dilation for all three layers", "", *grid_table(grids[name]), ""]
            if len(grids[name]) > len(rows[name]):
                lines += ["Seeds 3 and 4 were trained afterwards, of dilations that three seeds had not ranked.", ""]
        chosen = [row for row in rows[name] if not is_manual(row.method) and not is_design(row)]
        if chosen:
            lines += [f"## {title}: learned", "", *learned_table(chosen, grid_means[name]), ""]
    if judged := [*regrets(rows, grids), *costs(rows), *per_pixel_losses(rows, grid_means)]:
        lines += ["## What must hold", "", *judged, ""]
    sections: list[tuple[str, list[Row]]] = [
        ("How several layers share a search", [row for row in main if row.method == "learned_dilation"]),
        ("Pixel-adaptive convolution", [row for row in main if row.method == "pixel_adaptive"]),
    ]
    for title, members in sections:
        if any(is_design(row) for row in members):
            lines += [f"## {title}: U-Net, CamVid", "", *learned_table(members, grid_means["unet_camvid"]), ""]
    preferred = preference_table([(members, means_of_grid(members)) for members in grids.values()])
    if preferred:
        lines += [
            "## What `prefer` fixes: shared searches of all pairs, by the grid's means",
            "",
            *preferred,
            "",
        ]
    priced = {name: members for name, members in rows.items() if name.removeprefix("unet_camvid_").isdigit()}
    if any(priced.values()):
        lines += ["## The price of the search: U-Net, CamVid", "", *price_table(priced), ""]
    if rows["unet_camvid_alone"]:
        alone = rows["unet_camvid_alone"]
        lines += ["## One layer alone: U-Net, CamVid", "", *grid_table(alone), ""]
        lines += [*learned_table([row for row in alone if not is_manual(row.method)], means_of_grid(alone)), ""]
    if rows["unet_camvid_assigned"]:
        (own,) = (study["model"]["args"]["rates"] for part, study in parts if part == "assigned")
        assigned = assigned_table(rows["unet_camvid_assigned"], main, own)
        lines += ["## Random assignments: U-Net, CamVid", "", *assigned, ""]
    return lines


def missing(rows: Mapping[str, list[Row]], parts: Sequence[tuple[str, Study]]) -> list[str]:
    """How many trainings of each part are complete."""
    lines = ["| part | study | trainings complete |", "|---|---|---|"]
    whole = True
    for part, study in parts:
        # By what was trained: a key is in the terms of the version that began the study.
        asked = [(trial.configuration, trial.seed) for trial in grid(parse_study(study, study["name"]), study["name"])]
        done = sum(({"method": row.method, **row.params}, row.seed) in asked for row in rows[study["name"]])
        whole &= done == len(asked)
        lines.append(f"| {part} | {study['name']} | {done} of {len(asked)} |")
    return [] if whole else ["**Not all of it is complete**; what is missing is missing below.", "", *lines, ""]


def is_design(row: Row) -> bool:
    """Whether a trial is of the parts on designs: learned otherwise than the methods' own rows."""
    if row.method == "pixel_adaptive":
        fields = {name: value for name, value in row.params.items() if name not in ("targets", "rates")}
        return fields not in ({}, PAPERS_SETTING)
    fields = set(row.params) - {"targets", "rates", "start", "shared"}
    return row.method == "learned_dilation" and (bool(fields) or sharing(row) is not True)


def sharing(row: Row) -> Any:
    """How the layers of a learned dilation share it; True of other methods."""
    default = LearnedDilation.model_fields["shared"].default
    return row.params.get("shared", default) if row.method == "learned_dilation" else True


def grouped(rows: Sequence[Row]) -> Groups:
    """By configuration, each over its seeds."""
    groups: Groups = {}
    for row in sorted(rows, key=lambda row: row.seed):
        groups.setdefault(row.configuration, []).append(row)
    return groups


def scores(rows: Sequence[Row]) -> list[float]:
    return [row.miou for row in rows if row.miou is not None]


def means_of_grid(rows: Sequence[Row]) -> dict[float, float]:
    """The mean mIoU of every dilation that was set for all targets."""
    by_rate: dict[float, list[float]] = {}
    for row in rows:
        if row.method == "dilation" and row.params.get("rate") is not None and row.miou is not None:
            by_rate.setdefault(float(row.params["rate"]), []).append(row.miou)
    return {rate: statistics.mean(values) for rate, values in sorted(by_rate.items())}


def grid_table(rows: Sequence[Row]) -> list[str]:
    lines = ["| dilation | mIoU by seed | mean (sd) | CPU-seconds |", "|---|---|---|---|"]
    by_rate: Groups = {}
    for row in sorted(rows, key=lambda row: (row.params.get("rate") or 0, row.seed)):
        if row.method == "dilation":
            by_rate.setdefault(str(row.params.get("rate")), []).append(row)
    for rate, members in by_rate.items():
        values = scores(members)
        lines.append(f"| {rate} | {listed(values)} | {mean_and_sd(values)} | {seconds(members):.0f} |")
    return lines


def learned_table(rows: Sequence[Row], means: Mapping[float, float]) -> list[str]:
    """What each learned configuration came to, beside the grid's best mean."""
    best = max(means.values(), default=None)
    lines = [
        "| method | setting | mIoU by seed | mean (sd) | less the grid's best | fixed | could not tell apart | CPU-s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for members in grouped(rows).values():
        values = scores(members)
        beyond = "" if best is None else f"{statistics.mean(values) - best:+.3f}"
        untold = "; ".join(alike_in_words(row) for row in members) if any(row.alike for row in members) else ""
        lines.append(
            f"| {members[0].method} | {setting(members[0])} | {listed(values)} | {mean_and_sd(values)} | {beyond} | "
            f"{'; '.join(map(fixed_in_words, members))} | {untold} | {seconds(members):.0f} |"
        )
    return lines


def setting(row: Row) -> str:
    """What distinguishes a configuration, without what all of them have."""
    left_out = ("targets", "rates", "start", "end") if row.method != "pixel_adaptive" else ("targets", "rates")
    shared = {"shared": sharing(row)} if row.method == "learned_dilation" else {}
    shown = {**shared, **{name: value for name, value in row.params.items() if name not in left_out}}
    return ", ".join(f"{name} {value}" for name, value in shown.items()) or "default"


def fixed(row: Row) -> list[float]:
    """The dilation of every layer, or the one that all share."""
    return row.each.get("dilation") or ([] if row.dilation is None else [row.dilation])


def fixed_in_words(row: Row) -> str:
    if row.f is not None:
        return f"f {row.f:.2f}"
    return "-".join(f"{dilation:.3g}" for dilation in fixed(row))


def alike_in_words(row: Row) -> str:
    return " / ".join(f"{options[0]:g}-{options[-1]:g}" if options else "?" for options in row.alike)


def shared_searches(rows: Sequence[Row]) -> list[Row]:
    """Of the methods' own row: one dilation for all layers, all images exploring."""
    return [row for row in rows if row.method == "learned_dilation" and not is_design(row) and len(fixed(row)) == 1]


def regrets(rows: Mapping[str, list[Row]], grids: Mapping[str, list[Row]]) -> list[str]:
    """How far below the grid's best mean that of a fixed dilation lies, by the first seeds and by all there are."""
    lines = []
    for title, members in (("by all seeds of the grid", grids), ("by its first three", rows)):
        lost = []
        for name in PAIRS:
            means = means_of_grid(members[name])
            fixed_rates = [fixed(row)[0] for row in shared_searches(rows[name])]
            lost += [max(means.values()) - means[rate] for rate in fixed_rates if rate in means]
        if lost:
            near = sum(each <= NEAR for each in lost)
            lines.append(
                f"* Shared, the dilation fixed has a grid mean within {NEAR} of the best in {near} of {len(lost)} runs "
                f"(worst {max(lost):.3f}) {title}; asked are 8 of 9."
            )
    return [*lines, *(line for name in PAIRS for line in beyond_noise(name, grids[name], means_of_grid(grids[name])))]


def costs(rows: Mapping[str, list[Row]]) -> list[str]:
    """What a shared search cost against a training of the dilation that it fixed, with the same seed."""
    lost = []
    for name in PAIRS:
        for row in shared_searches(rows[name]):
            partner = same(rows[name], "dilation", row.seed, rate=fixed(row)[0])
            if partner is not None and row.miou is not None and partner.miou is not None:
                lost.append(partner.miou - row.miou)
    if not lost:
        return []
    half = half_width(lost)
    interval = "" if half is None else f", 95 % interval {mean(lost) - half:+.3f} to {mean(lost) + half:+.3f}"
    return [
        f"* At equal steps it costs {mean(lost):+.3f} mIoU against a training of the found dilation with the same "
        f"seed{interval} over {len(lost)} pairs; asked is at most .004."
    ]


def per_pixel_losses(rows: Mapping[str, list[Row]], grid_means: Mapping[str, Mapping[float, float]]) -> list[str]:
    """How far below the grid's best mean the per-pixel methods lie, under the same seeds."""
    lost: dict[str, list[str]] = {}
    for method in ("scale_adaptive", "pixel_adaptive"):
        for name in PAIRS:
            groups = grouped([row for row in rows[name] if row.method == method and not is_design(row)])
            for members in groups.values() if grid_means[name] else ():
                loss = max(grid_means[name].values()) - mean(scores(members))
                lost.setdefault(f"`{method}` ({setting(members[0])})", []).append(f"{loss:+.3f}")
    return [
        f"* {title} lies {', '.join(losses)} below the grid's best mean; asked is at most .005."
        for title, losses in lost.items()
    ]


def beyond_noise(name: str, rows: Sequence[Row], means: Mapping[float, float]) -> list[str]:
    """Of each fixed dilation that lies further below the grid's best, whether the seeds' noise allows to say so."""
    best = max(means, key=lambda rate: means[rate], default=None)
    fixed_rates = {fixed(row)[0] for row in rows if row.method == "learned_dilation" and not is_design(row)}
    lines = []
    for rate in sorted(fixed_rates & set(means)):
        if best is None or means[best] - means[rate] <= NEAR:
            continue
        pairs = [
            (row, same(rows, "dilation", row.seed, rate=rate))
            for row in rows
            if row.method == "dilation" and row.params.get("rate") == best
        ]
        lost = [row.miou - other.miou for row, other in pairs if other and row.miou and other.miou]
        half = half_width(lost)
        if half is not None:
            lines.append(
                f"* {PAIRS[name]}: dilation {rate:g} lies {mean(lost):.3f} below {best:g}, 95 % interval "
                f"{mean(lost) - half:+.3f} to {mean(lost) + half:+.3f} over {len(lost)} seeds."
            )
    return lines


def preference_table(pairs: Sequence[tuple[Sequence[Row], Mapping[float, float]]]) -> list[str]:
    """By preference, what the dilations that shared searches fixed lose against the grid's best mean."""
    default = LearnedDilation.model_fields["prefer"].default
    regrets: dict[str, list[float]] = {}
    for rows, means in pairs:
        for row in rows:
            own = set(row.params) - {"targets", "rates", "start", "shared", "prefer"}
            if row.method != "learned_dilation" or sharing(row) is not True or own or fixed(row)[0] not in means:
                continue
            lost = max(means.values()) - means[fixed(row)[0]]
            regrets.setdefault(row.params.get("prefer", default), []).append(lost)
    if len(regrets) < 2:
        return []
    lines = ["| prefer | searches | mean loss of mIoU | largest |", "|---|---|---|---|"]
    return lines + [f"| {name} | {len(lost)} | {mean(lost):.3f} | {max(lost):.3f} |" for name, lost in regrets.items()]


def price_table(studies: Mapping[str, list[Row]]) -> list[str]:
    """At each length what a search comes to, beside a training of what it fixed under the same seed; and in all."""
    every: dict[str, list[float]] = {}
    lines = ["| steps | search | mIoU by seed | fixed | less a training of it, mean (pairs) |", "|---|---|---|---|---|"]
    for name, rows in studies.items():
        steps = name.rsplit("_", 1)[1]
        for members in grouped([row for row in rows if row.method == "dilation"]).values():
            rate = members[0].params.get("rate")
            lines.append(f"| {steps} | none: dilation {rate} | {listed(scores(members))} | {rate} | |")
        for members in grouped([row for row in rows if row.method == "learned_dilation"]).values():
            pairs = [(row, same(rows, "dilation", row.seed, rate=(fixed(row) or [0])[0])) for row in members]
            losses = [row.miou - other.miou for row, other in pairs if other and row.miou and other.miou]
            every.setdefault(setting(members[0]), []).extend(losses)
            lost = f"{mean(losses):+.3f} ({len(losses)})" if losses else "none was trained"
            lines.append(
                f"| {steps} | {setting(members[0])} | {listed(scores(members))} | "
                f"{'; '.join(map(fixed_in_words, members))} | {lost} |"
            )
    lines.append("")
    for name, losses in every.items():
        if (half := half_width(losses)) is not None:
            lines.append(
                f"* Over all lengths, {name}: {mean(losses):+.3f}, 95 % interval {mean(losses) - half:+.3f} to "
                f"{mean(losses) + half:+.3f} over {len(losses)} pairs."
            )
    return lines


def assigned_table(assigned: Sequence[Row], main: Sequence[Row], own: Sequence[int]) -> list[str]:
    """Random assignments, best first, beside what each its own learned and the shared dilations.

    Args:
        assigned: trials of random assignments.
        main: of the grid and the learned methods.
        own: the assignment of the study's own network, which its trial leaves out.
    """
    seeds = {row.seed for row in assigned}
    compared = [row for row in main if row.seed in seeds and (row.method == "dilation" or learns_each(row))]
    named = [(title_of(members[0], own), members) for members in grouped([*compared, *assigned]).values()]
    lines = ["| dilations | mIoU by seed | mean |", "|---|---|---|"]
    for title, members in sorted(named, key=lambda pair: -mean(scores(pair[1]))):
        lines.append(f"| {title} | {listed(scores(members))} | {mean(scores(members)):.3f} |")
    return lines


def learns_each(row: Row) -> bool:
    """Whether each layer searched its own dilation, all at once."""
    return sharing(row) is False


def title_of(row: Row, own: Sequence[int]) -> str:
    """What set the dilations of a network's layers, which are ``own`` where nothing did."""
    if row.method == "learned_dilation":
        return f"learned, each its own ({setting(row)})"
    if row.params.get("rate") is not None:
        return f"shared {row.params['rate']}"
    return "random " + "-".join(map(str, row.params.get("model.args.rates", own)))


def same(rows: Sequence[Row], method: str, seed: int, **params: Any) -> Row | None:
    """The trial of a configuration under a seed."""
    for row in rows:
        fits = all(row.params.get(name) == value for name, value in params.items())
        if row.method == method and row.seed == seed and fits:
            return row
    return None


def mean(values: Sequence[float]) -> float:
    return statistics.mean(values)


def listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def mean_and_sd(values: Sequence[float]) -> str:
    return f"{mean(values):.3f}" + (f" ({statistics.stdev(values):.3f})" if len(values) > 1 else "")


def seconds(rows: Sequence[Row]) -> float:
    """The median of what a training has cost."""
    return statistics.median([row.own_seconds for row in rows if row.own_seconds is not None] or [0.0])
