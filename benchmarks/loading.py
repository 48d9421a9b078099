"""Loading at training speed: pictures from the cache against decoding each time, and what large pictures take.

    python benchmarks/loading.py [--pictures 48] [--write]

Pictures are generated, as JPEG and as PNG of 512 x 512 and as JPEG of a camera's 1536 x 2048, with masks as PNG, and
read at 512 x 512 by the loader of a training whose step does nothing: mapped from the cache, and decoded each time, one
thread, in the same run, taking turns. Both must give the same numbers before their times are compared: processor
seconds, which no other work on the machine changes. Whole batches are what the host makes, ready for the device; with
numbers they are normalised too, on the same thread, as a training without a GPU has it; read alone are bytes.

Then a second process loads the same data and counts what it decodes; four processes map and read all of it at once and
add up their proportional share (PSS) of the files; and a fresh process trains and predicts pictures of 2000 x 3000 by
patches, whose peak is compared with what it took once all was imported. ``--write`` records it beside this script.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LEAST_RATIO, MOST_GB, WORKERS, ROUNDS, BATCH = 8, 1.5, 4, 3, 16
LEAST_SECONDS = 0.5
LARGE = (2000, 3000)
BATCHES, NUMBERS, ALONE = "batches for the device", "batches, normalised here", "read alone"


def write_pictures(folder: Path, counts: dict[str, int], size: tuple[int, int], suffix: str) -> None:
    """Pictures with the smoothness and the noise of photographs, and masks of 11 classes in large areas."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    height, width = size
    for split, count in counts.items():
        for part in ("images", "masks"):
            (folder / split / part).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
            smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
            image = (smooth + rng.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8)
            areas = Image.fromarray(rng.integers(0, 11, (8, 8), np.uint8))
            mask = areas.resize((width, height), Image.Resampling.NEAREST)
            Image.fromarray(image).save(folder / split / "images" / f"{split}{number}{suffix}", quality=92)
            mask.save(folder / split / "masks" / f"{split}{number}.png")


def data_in(folder: Path, **values: Any) -> Any:
    """A data set of that folder."""
    from autorf.data import FolderData

    return FolderData(root=folder, classes=11, **values)


def images_per_second(read: Callable[[], int]) -> float:
    """By processor time, of as many passes as take long enough for its clock."""
    began, count = time.process_time(), 0
    while not count or time.process_time() - began < LEAST_SECONDS:
        count += read()
    return count / (time.process_time() - began)


def speeds(folder: Path, cache: Path) -> dict[str, dict[str, float]]:
    """Images a second from the cache and decoded, as batches and read alone: the median of rounds in turns."""
    import torch

    from autorf.data import load, reading
    from autorf.training.batches import loader

    torch.set_num_threads(1)
    kept = load(data_in(folder, image_size=(512, 512)), cache=cache).train
    reading.MEMORY_BOUND = 0
    files = load(data_in(folder, image_size=(512, 512))).train
    assert type(files.source).__name__ == "OnDisk"
    for ours, theirs in zip(kept.tensors(range(8)), files.tensors(range(8)), strict=True):
        assert torch.equal(ours, theirs), "the cache does not hold what the files do"

    def batches(images: Any) -> int:
        return sum(len(image) for image, _ in loader(images, BATCH, 0, shuffle=True))

    def with_numbers(images: Any) -> int:
        return sum(len(images.numbers(*batch)[0]) for batch in loader(images, BATCH, 0, shuffle=True))

    def alone(images: Any) -> int:
        return sum(len(images.unchanged(range(at, at + BATCH))[0]) for at in range(0, len(images), BATCH))

    measured: dict[str, dict[str, float]] = {}
    for what, read in ((BATCHES, batches), (NUMBERS, with_numbers), (ALONE, alone)):
        rounds = [[images_per_second(partial(read, images)) for images in (kept, files)] for _ in range(ROUNDS)]
        cached, decoded = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratio = statistics.median(ours / theirs for ours, theirs in rounds)
        measured[what] = {"cached": cached, "decoded": decoded, "ratio": ratio}
    return measured


def second_trial(folder: Path, cache: Path) -> int:
    """How many files a fresh process decodes that loads what is in the cache."""
    from autorf.data import load
    from autorf.data.decoding import Decoder

    decoded = []
    pixels, classes = Decoder.pixels, Decoder.classes
    Decoder.pixels = lambda self, file: decoded.append(file) or pixels(self, file)  # type: ignore[method-assign]
    Decoder.classes = lambda self, file: decoded.append(file) or classes(self, file)  # type: ignore[method-assign]
    splits = load(data_in(folder, image_size=(512, 512)), cache=cache)
    for split in (splits.train, splits.val):
        for index in range(len(split)):
            split.tensors([index])
    return len(decoded)


def shares(folder: Path, cache: Path) -> dict[str, int]:
    """What this process has of the cache's files, once all processes have read all of them: kB, RSS and PSS."""
    from autorf.data import load

    splits = load(data_in(folder, image_size=(512, 512)), cache=cache)
    for split in (splits.train, splits.val):
        for index in range(len(split)):
            split.unchanged([index])
    print("read", flush=True)
    sys.stdin.readline()
    totals = {"Rss": 0, "Pss": 0}
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split()[0]
        if not first.endswith(":"):
            inside = f"{cache}/pictures" in line
        elif inside and first[:-1] in totals:
            totals[first[:-1]] += int(line.split()[1])
    rollup = Path("/proc/self/smaps_rollup").read_text().splitlines()
    whole = {line.split()[0][:-1]: int(line.split()[1]) for line in rollup if line.split()[0] in ("Rss:", "Pss:")}
    answer = {**totals, "process Rss": whole["Rss"], "process Pss": whole["Pss"]}
    print(json.dumps(answer), flush=True)
    # Its maps stay until all others were asked.
    sys.stdin.readline()
    return answer


def large_pictures(folder: Path, cache: Path) -> dict[str, float]:
    """The peak of training and predicting large pictures by patches, above what the imports took: GB."""
    import torch

    from autorf.data import load
    from autorf.deployment.predictor import Predictor
    from autorf.deployment.recipe import Recipe
    from autorf.running.runner import run
    from autorf.study.job import Job
    from autorf.study.spec import counted, parse_study
    from autorf.study.trial import grid

    torch.set_num_threads(1)
    study = {
        "name": "large",
        "data": {"name": "folder", "root": str(folder), "classes": 11, "patches": {"size": 512, "per_image": 2}},
        "model": {"name": "largefov:resnet18"},
        "search_space": [{"method": "dilation", "rate": [2]}],
        "training": {"epochs": 1, "batch_size": 2},
    }
    imported = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    spec = parse_study(study, "large.yaml").with_cache(cache)
    splits = load(spec.data, cache=cache)
    spec = counted(spec, len(splits.train), "large.yaml")
    (trial,) = grid(spec, "large.yaml")
    job = Job(0, trial.key, trial.configuration, 0, spec, cache.parent / "trial")
    result = run(job, lambda _: None)
    trained = status("VmHWM")
    Recipe.of(job.trial_spec, splits).write(job.folder)
    Path("/proc/self/clear_refs").write_text("5")
    predictor = Predictor(job.folder, device="cpu")
    prediction = predictor(folder / "val" / "images" / "val0.jpg")
    assert prediction.classes.shape == LARGE
    assert result.epochs == 1
    predicted = status("VmHWM")
    peaks = {"imported": imported, "training": trained - imported, "predicting": predicted - imported}
    return {**{name: kilobytes * 1024 / 1e9 for name, kilobytes in peaks.items()}, "tiling": str(predictor.tiling)}  # type: ignore[dict-item]


def status(name: str) -> int:
    """A number of kB of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


PARTS: dict[str, Callable[[Path, Path], Any]] = {
    "speeds": speeds,
    "second_trial": second_trial,
    "shares": shares,
    "large_pictures": large_pictures,
}


def started(part: str, folder: Path, cache: Path) -> "subprocess.Popen[str]":
    """A fresh process that measures a part."""
    command = [sys.executable, __file__, "--part", part, str(folder), str(cache)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    )


def answer_of(process: "subprocess.Popen[str]") -> Any:
    output = process.communicate(timeout=3000)[0]
    assert process.returncode == 0, "a part has failed"
    return json.loads(output.splitlines()[-1])


def one_copy(folder: Path, cache: Path) -> dict[str, float]:
    """MB: the files, and what all processes together have of them."""
    processes = [started("shares", folder, cache) for _ in range(WORKERS)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "read\n"
    answers = []
    for process in processes:
        # One after the other, all of them still there.
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        answers.append(json.loads(process.stdout.readline()))
    for process in processes:
        process.communicate()
    files = sum(file.stat().st_size for file in (cache / "pictures").glob("*/*"))
    total = {name: sum(answer[name] for answer in answers) * 1024 / 1e6 for name in answers[0]}
    return {"files": files / 1e6, **total}


def measured(folder: Path, n_pictures: int) -> dict[str, Any]:
    """Everything, in folders below ``folder``."""
    figures: dict[str, Any] = {"speeds": {}}
    for suffix, size in ((".jpg", (512, 512)), (".png", (512, 512)), (".jpeg", (1536, 2048))):
        own = folder / suffix[1:]
        write_pictures(own / "data", {"train": n_pictures, "val": 8}, size, suffix)
        kind = f"{'PNG' if suffix == '.png' else 'JPEG'} of {size[0]} x {size[1]}"
        figures["speeds"][kind] = answer_of(started("speeds", own / "data", own / "cache"))
    own = folder / "jpg"
    figures["second trial"] = answer_of(started("second_trial", own / "data", own / "cache"))
    figures["one copy"] = one_copy(own / "data", own / "cache")
    large = folder / "large"
    write_pictures(large / "data", {"train": 2, "val": 1}, LARGE, ".jpg")
    figures["large"] = answer_of(started("large_pictures", large / "data", large / "cache"))
    return figures


def problems(figures: dict[str, Any]) -> list[str]:
    """What does not hold."""
    ratios = {
        f"{kind}, {what}": of_kind[what]["ratio"]
        for kind, of_kind in figures["speeds"].items()
        for what in (BATCHES, ALONE)
    }
    lines = [f"{what}: only {ratio:.1f} times as fast" for what, ratio in ratios.items() if ratio < LEAST_RATIO]
    if figures["second trial"]:
        lines.append(f"a second trial decodes {figures['second trial']} files")
    copies = figures["one copy"]
    if copies["Pss"] > 1.1 * copies["files"]:
        lines.append(f"{WORKERS} processes hold {copies['Pss'] / copies['files']:.2f} copies")
    lines += [
        f"{what} takes {figures['large'][what]:.2f} GB"
        for what in ("training", "predicting")
        if figures["large"][what] > MOST_GB
    ]
    return lines


def page(figures: dict[str, Any], n_pictures: int) -> str:
    """The results as Markdown."""
    rows = [
        f"| {kind} | {what} | {row['cached']:.0f} | {row['decoded']:.0f} | {row['ratio']:.1f} |"
        for kind, of_kind in figures["speeds"].items()
        for what, row in of_kind.items()
    ]
    copies, large = figures["one copy"], figures["large"]
    return "\n".join(
        [
            "# Loading at training speed",
            "",
            f"{platform.machine()}, 1 thread. `python benchmarks/loading.py --pictures {n_pictures} --write`: "
            f"{n_pictures} generated pictures and their masks, read at 512 x 512, a step that does nothing, {ROUNDS} "
            "rounds in turns, medians. The mapped and the decoded pictures are equal in every number.",
            "",
            "| files | what | images a second, cache | decoded | ratio |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"A second is one of processor time. `{BATCHES}` is all that the host does for a step: an epoch's shuffled "
            "order, and images and masks of a batch side by side in memory, as bytes, which is how they are sent. "
            "Making normalised float32 and int64 of them is the device's first work of a step. On a machine without a "
            f"GPU that is the processor's work too: `{NUMBERS}` adds it, on this one thread, and where nothing is "
            f"decoded it is nearly all that is left. `{ALONE}` are the bytes in the split's order, without a loader. "
            f"The bound of {LEAST_RATIO} is for what the host does and for reading alone.",
            "",
            f"* A second trial decodes {figures['second trial']} files.",
            f"* {WORKERS} processes that have all read all of it map {copies['Rss']:.0f} MB of the cache (RSS, added "
            f"up), which is {copies['Pss']:.0f} MB once each page is counted once (PSS): the files take "
            f"{copies['files']:.0f} MB. The processes as a whole: RSS {copies['process Rss']:.0f} MB, PSS "
            f"{copies['process Pss']:.0f} MB.",
            f"* Pictures of {LARGE[0]} x {LARGE[1]}, `largefov:resnet18`, patches of 512, batches of 2: the peak of "
            f"training and validating is {large['training']:.2f} GB above the {large['imported']:.2f} GB of the "
            f"imports, that of predicting {large['predicting']:.2f} GB ({large['tiling']}). At most {MOST_GB} GB are "
            "allowed.",
            "",
        ]
    )


def main() -> int:
    """Measure, print, and say what does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=48)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--part", nargs=3, metavar=("PART", "FOLDER", "CACHE"), help="what a process of it measures")
    options = parser.parse_args()
    if options.part:
        part, folder, cache = options.part
        print(json.dumps(PARTS[part](Path(folder), Path(cache))), flush=True)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), options.pictures // BATCH * BATCH)
    text = page(figures, options.pictures // BATCH * BATCH)
    print(text)
    if options.write:
        (Path(__file__).parent / "results" / "loading.md").write_text(text)
    for line in problems(figures):
        print(f"does not hold: {line}")
    return bool(problems(figures))


if __name__ == "__main__":
    sys.exit(main())
