"""The memory of a training step as a dry run foretells it from small cuts, against what a process really takes.

    python benchmarks/step_memory.py > benchmarks/results/step_memory.md

Each figure is of a process of its own. Really taken: the most that the process had resident (``VmHWM``) over three
training steps with their optimizer, and the validation of a batch.
"""

import subprocess
import sys
from typing import Any

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "ResNet-18, LargeFOV": ("largefov:resnet18", {"rate": 2}),
    "MobileNetV2 DeepLabV3+": (
        "smp:DeepLabV3Plus:mobilenet_v2",
        {"rate": 2, "targets": r"encoder\.features\.1[5-7]\.conv\.1\.0"},
    ),
    "VGG-16 FCN-8s": ("paper:fcn8s_vgg16", {"rate": 2}),
}
SIDES, BATCH = (256, 320, 384), 4


def measure(network: str, side: int, *, scaled: bool) -> int:
    """MB (of 2**20 bytes), foretold or really taken by this process."""
    import torch

    from autorf.data import load
    from autorf.driver import estimate
    from autorf.running.cost import PeakMemory
    from autorf.running.first_step import evaluate
    from autorf.running.runner import trial_model
    from autorf.study.spec import parse_study
    from autorf.study.trial import spec_of, trial_from
    from autorf.training.module import SegmentationModule

    torch.set_num_threads(1)
    model, method = NETWORKS[network]
    content = {
        "name": "memory",
        "data": {"name": "digits", "image_size": [side, side], "n_train": BATCH, "n_val": BATCH, "n_test": 0},
        "model": {"name": model},
        "search_space": [{"method": "dilation", **method}],
        "training": {"epochs": 1, "batch_size": BATCH, "optimizer": "sgd", "lr": 1.0e-5},
    }
    spec = parse_study(content, "benchmark")
    splits = load(spec.data)
    trial = trial_from({"method": "dilation", **method}, 0, spec)
    if scaled:
        estimate.WHOLE_PIXELS = 0
        (foretold,) = estimate.estimates(spec, [trial], splits).values()
        assert foretold.scaled_from is not None, "measured as a whole"
        return foretold.memory_mb
    memory = PeakMemory()
    own = spec_of(spec, trial)
    module = SegmentationModule(trial_model(own, trial, splits.class_names), own.training.uncounted(), splits)
    optimizer = torch.optim.SGD(module.parameters(), lr=own.training.lr, momentum=own.training.momentum)
    image, mask = splits.train.tensors(range(BATCH))
    for _ in range(3):
        module.train()
        loss = module.training_step((image, mask), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    evaluate(module, image)
    return memory.megabytes()


def main() -> None:
    """A table of every network at every size."""
    print("# Memory of a training step: foretold by a dry run from cuts of 128 and 192 px, and really taken\n")
    print(f"MB of the whole process, batch {BATCH}, SGD with momentum, one thread (`benchmarks/step_memory.py`).\n")
    print("| network | px | foretold | taken | ratio |")
    print("|---|---|---|---|---|")
    for network in NETWORKS:
        for side in SIDES:
            foretold, taken = (_in_a_process(network, side, kind) for kind in ("scaled", "whole"))
            print(f"| {network} | {side} | {foretold} | {taken} | {foretold / taken:.2f} |", flush=True)


def _in_a_process(network: str, side: int, kind: str) -> int:
    command = [sys.executable, __file__, network, str(side), kind]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(measure(sys.argv[1], int(sys.argv[2]), scaled=sys.argv[3] == "scaled"))
    else:
        main()
