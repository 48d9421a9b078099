"""Learned dilation on real networks: several layers at once, what the search costs, and the per-pixel methods.

Three pairs: SMP's U-Net on CamVid and on FASSEG, SMP's DeepLabV3+ on CamVid, each with a ResNet-18 of random weights
and its three stride-1 layers of ``layer2`` as targets. All trainings of a pair have the same steps, under bfloat16's
autocast. Everything goes through study files and ``autorf search``; run again, the script goes on where it stopped, and
the page is of what is complete.

Parts, in order of value; ``--part`` may be given several times, and without it all are run:

* ``grid``: U-Net and CamVid, one dilation for all three layers, 4 x 3 seeds.
* ``methods``: the learned methods and two named rivals on that pair, 3 seeds.
* ``designs``: how several layers share a search, all images exploring or a quarter, 3 seeds.
* ``prefer``: on all three pairs the lowest loss whatever its error, which was the default before, 3 seeds.
* ``pad``: pixel-adaptive convolution as in its paper on all three pairs, and what the paper leaves open, 3 seeds.
* ``price``: the search at four lengths of training beside trainings of the grid's two best, 3 seeds, of the longest 2.
* ``alone``: one of the layers alone, 2 seeds.
* ``assigned``: twelve random assignments of dilations to the layers, 2 seeds.
* ``faces``, ``deeplab``: grid and methods on the other pairs.
* ``faces_seeds``: two seeds more for the three dilations that three seeds do not rank on FASSEG.

Run: ``python benchmarks/real_networks.py --camvid DIR --fasseg DIR --root DIR [--part NAME] [--workers 1] [--page]``;
``--page`` writes ``benchmarks/results/real_networks.md`` of what is complete, without training anything.
"""

import argparse
import itertools
import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import real_networks_page
import yaml
from rivals import RIVALS

from autorf.methods import METHODS as KNOWN

HERE = Path(__file__).parent
RATES, SEEDS, FEWER_SEEDS = [1, 2, 4, 8], [0, 1, 2], [0, 1]
LAYERS = r"encoder\.layer2\.(0\.conv2|1\.conv[12])"
ONE_LAYER = r"encoder\.layer2\.1\.conv2"
STEPS, BATCH, LENGTHS = 360, 8, [230, 460, 920, 1840]
"""Of a training; the lengths are 5, 10, 20 and 40 epochs of CamVid's 367 pictures in batches of 8."""

ENTRY_POINTS = "[autorf.methods]\nmixture = rivals:Mixture\nbranches = rivals:Branches\n"

Space = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """Search spaces that are added to a study.

    Attributes:
        study: the study's name.
        spaces: what is trained.
        seeds: of the study.
        steps: of its trainings.
    """

    study: str
    spaces: list[Space]
    seeds: list[int] = field(default_factory=lambda: list(SEEDS))
    steps: int = STEPS


def on_all(method: str, **fields: Any) -> Space:
    return {"method": method, "targets": LAYERS, **fields}


def learned(**fields: Any) -> Space:
    return on_all("learned_dilation", rates=[RATES], start=1, **fields)


def per_pixel(sampling: Any = "soft", evaluation: str = "hard", **fields: Any) -> Space:
    """Pixel-adaptive convolution, as in its paper but for what is given."""
    # Explicit, since some of these studies were begun when this was the default, and a study keeps its defaults.
    return on_all("pixel_adaptive", rates=[[1, 2, 4]], sampling=sampling, evaluation=evaluation, **fields)


GRID = [on_all("dilation", rate=RATES)]
METHODS = [
    # Explicit for the same reason.
    learned(shared=True, prefer="smallest"),
    on_all("scale_adaptive", dilation=2),
    per_pixel("none", "expected"),
    {"method": "inflation", "start": "encoder.layer2.1", "end": "encoder.layer2.1"},
    *(on_all(name, rates=[RATES]) for name in ("mixture", "branches")),
]
SHARED = [False, "same_option", "then_each", "then_neighbours", "one_at_a_time"]
DESIGNS = [
    learned(shared=SHARED, explore=[0.25, 1.0], prefer="lowest_loss"),
    learned(shared=True, explore=0.25, prefer="lowest_loss"),
]
LOWEST = [learned(shared=True, prefer="lowest_loss")]
PAPERS = [per_pixel()]
PAD = [
    *PAPERS,
    per_pixel(temperature=[[1.0, 0.1]]),
    per_pixel(evaluation="expected"),
    per_pixel(["none", "straight_through"]),
    per_pixel(sampled=0.5),
    per_pixel(start="own"),
]
PRICE = [
    # The first is the network as built, which every study trains.
    on_all("dilation", rate=[2, 4]),
    learned(shared=True, explore=[1.0, 0.25]),
    learned(shared=True, search=0.1),
]
ALONE = [
    {"method": "dilation", "targets": ONE_LAYER, "rate": RATES},
    {"method": "learned_dilation", "targets": ONE_LAYER, "rates": [RATES], "start": 1},
]


def assignments() -> list[list[int]]:
    """Twelve dilations of the three layers at random, not all the same: those are the grid's."""
    every = [list(rates) for rates in itertools.product(RATES, repeat=3) if len(set(rates)) > 1]
    return random.Random(0).sample(every, 12)


ASSIGNED = [on_all("dilation", rate=None, **{"model.args.rates": assignments()})]

UNET = {"name": "smp:Unet:resnet18", "args": {"encoder_depth": 3, "decoder_channels": [64, 32, 16]}}
DEEPLAB = {"name": "smp:DeepLabV3Plus:resnet18"}
OWN_DILATIONS = {
    "name": f"python:{HERE / 'unet_with_dilations.py'}:build",
    # One of those that are trained, so that the network as built is no training more.
    "args": {"rates": assignments()[0]},
}
PRICED = {
    "name": OWN_DILATIONS["name"],
    # With the channels last a step takes .75 of the time on two cores, and these trainings are the longest.
    "args": {"rates": [2, 2, 2], "channels_last": True},
}
OF_THE_GRID = {"name": OWN_DILATIONS["name"], "args": {"rates": [2, 2, 2]}}
"""The U-Net as built with a dilation that is trained anyway, so that it is no training more."""
FACES, MORE_FACES = "unet_fasseg", "unet_fasseg_seeds"
PARTS: dict[str, list[Part]] = {
    "grid": [Part("unet_camvid", GRID)],
    "methods": [Part("unet_camvid", METHODS)],
    "designs": [Part("unet_camvid", DESIGNS)],
    "prefer": [Part(study, LOWEST) for study in ("unet_camvid", FACES, "deeplab_camvid")],
    "pad": [Part("unet_camvid", PAD), Part(FACES, PAPERS), Part("deeplab_camvid", PAPERS)],
    "price": [
        Part(f"unet_camvid_{steps}", PRICE, FEWER_SEEDS if steps == LENGTHS[-1] else SEEDS, steps) for steps in LENGTHS
    ],
    "alone": [Part("unet_camvid_alone", ALONE, FEWER_SEEDS)],
    "assigned": [Part("unet_camvid_assigned", ASSIGNED, FEWER_SEEDS)],
    "faces": [Part(FACES, [*GRID, *METHODS])],
    "deeplab": [Part("deeplab_camvid", [*GRID, *METHODS])],
    "faces_seeds": [Part(MORE_FACES, [on_all("dilation", rate=[2, 4, 8])], [3, 4])],
}


def is_faces(part: Part) -> bool:
    return part.study in (FACES, MORE_FACES)


def study(part: Part, camvid: str, fasseg: str, workers: int) -> dict[str, Any]:
    """The study of a part, with that part's search spaces alone."""
    faces = is_faces(part)
    streets = {"name": "camvid", "root": camvid, "image_size": [128, 160]}
    models = {"deeplab_camvid": DEEPLAB, "unet_camvid_assigned": OWN_DILATIONS, MORE_FACES: OF_THE_GRID}
    models |= {each.study: PRICED for each in PARTS["price"]}
    training = {
        "steps": part.steps,
        "validate_every": 90,
        "batch_size": BATCH,
        "lr": 3.0e-3,
        # For all methods alike: half the time on two cores, and what the losses of 5 steps change by is below .1 %.
        "precision": "bf16",
        "seeds": part.seeds,
    }
    return {
        "name": part.study,
        "data": {"name": "fasseg", "root": fasseg, "image_size": [160, 128]} if faces else streets,
        "model": models.get(part.study, UNET),
        "search_space": part.spaces,
        "training": training,
        "search": {"controls": False},
        "executor": {"workers": workers},
    }


def train(part: Part, root: Path, values: dict[str, Any]) -> None:
    """Run what is missing of a part, in a study that keeps what other parts have added to it."""
    path = root / f"{part.study}.yaml"
    begun = yaml.safe_load(path.read_text(encoding="utf-8"))["search_space"] if path.exists() else []
    spaces = [*begun, *(space for space in values["search_space"] if space not in begun)]
    path.write_text(yaml.safe_dump({**values, "search_space": spaces}, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "autorf", "search", str(path), "--root", str(root), "--quiet"]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(_paths(root))})


def _paths(root: Path) -> list[str]:
    """Where workers find the rivals, which a package of others would bring: their code, and its entry points."""
    package = root / "rivals-0.dist-info"
    package.mkdir(exist_ok=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: rivals\nVersion: 0\n", encoding="utf-8")
    (package / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    before = os.environ.get("PYTHONPATH")
    return [*([before] if before else []), str(HERE), str(root.resolve())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camvid", help="folder of CamVid")
    parser.add_argument("--fasseg", help="folder of FASSEG's frontal faces, for the part faces")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument(
        "--part", action="append", choices=list(PARTS), help="several times for several; all without it"
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--page", action="store_true", help="write the page of what is complete, and train nothing")
    given = parser.parse_args()
    given.root.mkdir(parents=True, exist_ok=True)
    KNOWN.update(RIVALS)
    for name in [] if given.page else given.part or list(PARTS):
        for part in PARTS[name]:
            if (given.fasseg if is_faces(part) else given.camvid) is None:
                parser.error(f"part {name} needs --{'fasseg' if is_faces(part) else 'camvid'} DIR")
            train(part, given.root, study(part, given.camvid, given.fasseg, given.workers))
    if given.page:
        parts = [(name, study(part, "camvid", "fasseg", 1)) for name, members in PARTS.items() for part in members]
        real_networks_page.write(given.root, parts)


if __name__ == "__main__":
    main()
