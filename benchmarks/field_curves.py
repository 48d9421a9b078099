"""Curves of mIoU against receptive field, by training: what ``field_rules.py`` judges rules by, beside published ones.

Every data set at hand (digits of several sizes, faces, street scenes) under two kinds of network: one whose field is
set by the dilation of a head (``largefov``), and a plain U-Net whose field is set by its depth. A curve is a study;
run again, the script goes on where it stopped, and the table holds what is complete. A curve that the table has is not
trained again: take its lines out first.

Run: ``python benchmarks/field_curves.py --faces DIR --camvid DIR --root DIR``
"""

import argparse
import csv
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from autorf.advice.objects import class_sizes, components
from autorf.advice.samples import SetSamples
from autorf.comparison import compare_studies, results_of
from autorf.data import load
from autorf.store.store import open_store
from autorf.study.spec import StudySpec, parse_study

HERE = Path(__file__).parent
TABLE = HERE / "data" / "field_curves.csv"
OBJECTS = ("median_object_px", "largest_object_px")
COLUMNS = ("data", "network", "short_side_px", "long_side_px", *OBJECTS, "rf_px", "miou", "seeds")
DEPTHS = [0, 1, 2, 3, 4]
RATES = [1, 2, 3, 4, 6, 8, 12]


@dataclass(frozen=True)
class Curve:
    """A study of one data set and one network."""

    data: str
    network: str
    study: dict[str, Any]


def digits(object_size: Any, n_train: int) -> dict[str, Any]:
    sizes = {"image_size": 96, "object_size": object_size}
    return {"name": "digits", **sizes, "n_train": n_train, "n_val": 150, "n_test": 0}


def curves(faces: str, camvid: str) -> Iterator[Curve]:
    unet = {"name": f"python:{HERE / 'unet_of_depth.py'}:build", "args": {"width": 6}}
    depths = [{"method": "dilation", "rate": None, "model.args.depth": DEPTHS}]
    rates = [{"method": "dilation", "rate": RATES}]
    small = {"name": "largefov:test_byobnet", "stage": 1, "channels": [64, 64], "head_norm": True}
    on_digits = {"epochs": 8, "batch_size": 16, "lr": 6.0e-3, "class_weights": "balanced", "seeds": [0, 1]}
    on_faces = {"epochs": 40, "batch_size": 4, "lr": 6.0e-3, "class_weights": "balanced", "seeds": [0, 1]}
    on_streets = {"epochs": 8, "batch_size": 16, "lr": 6.0e-3, "seeds": [0, 1]}
    face_data = {"name": "fasseg", "root": faces, "image_size": [128, 96]}
    street_data = {"name": "camvid", "root": camvid, "image_size": [120, 160]}
    yield Curve("faces", "unet", study("faces_unet", face_data, unet, depths, on_faces))
    deep = {"name": "largefov:resnet18", "stage": 1, "channels": [64, 64], "head_norm": True}
    gentle = {**on_faces, "lr": 3.0e-3}
    yield Curve("faces", "largefov:resnet18", study("faces_resnet18", face_data, deep, rates, gentle))
    for size in (32, 56, 20):
        yield Curve(f"digits {size}", "unet", study(f"digits{size}_unet", digits(size, 300), unet, depths, on_digits))
    yield Curve(
        "digits 56", "largefov:test_byobnet", study("digits56_largefov", digits(56, 300), small, rates, on_digits)
    )
    yield Curve("camvid", "unet", study("camvid_unet", street_data, unet, depths, on_streets))
    mixed = digits([16, 32, 56], 300)
    yield Curve("digits mixed", "unet", study("digits_mixed_unet", mixed, unet, depths, on_digits))


def study(name: str, data: Any, model: Any, space: Any, training: Any) -> dict[str, Any]:
    trained = {"data": data, "model": model, "search_space": space, "training": training}
    return {"name": name, **trained, "search": {"controls": False}, "executor": {"workers": 1}}


def objects_of(spec: StudySpec) -> tuple[float, float]:
    """The median and the largest of the classes' typical sides in training pictures, in pixels of the input."""
    splits = load(spec.data)
    samples = SetSamples(splits.train, splits.class_names, spec.name)
    masks = [samples.read(index, None).mask for index in range(len(samples.sizes))]
    pictures = [components(mask, samples.ignored) for mask in masks if mask is not None]
    sides = [sizes.typical for sizes in class_sizes(pictures, samples.names) if not sizes.background]
    return float(np.median(sides)), max(sides)


def train(curve: Curve, root: Path) -> None:
    path = root / f"{curve.study['name']}.yaml"
    path.write_text(yaml.safe_dump(curve.study, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "autorf", "search", str(path), "--root", str(root), "--quiet"]
    subprocess.run(command, check=True)


def rows(curve: Curve, root: Path) -> list[dict[str, Any]]:
    """A line for each field of a curve that was trained."""
    spec = parse_study(curve.study, curve.study["name"])
    place = (curve.data, curve.network, *sorted(spec.data.image_size), *objects_of(spec))
    groups = compare_studies([results_of(open_store(root, spec.name))]).groups
    # The unmodified network, which every study trains, is one of the grid's once more.
    points = {max(group.rf): (round(group.mean, 4), len(group.seeds)) for group in groups}
    return [dict(zip(COLUMNS, (*place, rf, *points[rf]), strict=True)) for rf in sorted(points)]


def read() -> list[dict[str, Any]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(lines: list[dict[str, Any]]) -> None:
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--faces", "--camvid", "--root"):
        parser.add_argument(option, required=True)
    given = parser.parse_args()
    folder = Path(given.root)
    folder.mkdir(parents=True, exist_ok=True)
    table = read()
    complete = {(line["data"], line["network"]) for line in table}
    for curve in curves(given.faces, given.camvid):
        if (curve.data, curve.network) not in complete:
            train(curve, folder)
            table += rows(curve, folder)
            write(table)
