"""One of two processes that train a trial together: ``python one_of_two.py ROOT RANK``."""

import sys
from pathlib import Path
from typing import Any

from autorf.study.job import Job
from autorf.study.spec import StudySpec, parse_study
from autorf.training.results import EpochReport, TrialResult
from autorf.training.spec import TrainingSpec

N_VAL, EPOCHS = 7, 2
LOSS = ["cross_entropy", {"name": "contextual", "weight": 0.1}]
SPEC = parse_study(
    {
        "name": "parallel",
        "data": {"name": "digits", "image_size": 32, "object_size": 16, "n_train": 16, "n_val": N_VAL, "n_test": 0},
        "model": {"name": "largefov:test_convnext", "stage": 1, "channels": [8, 8], "head_norm": False},
        "search_space": [{"method": "inflation", "dilation": 2}, {"method": "learned_dilation"}],
        "training": {"epochs": EPOCHS, "batch_size": 8, "class_weights": "balanced", "optimizer": "sgd"},
    },
    "parallel",
)


CENTRES = "criterion.contextual.0.centres"
CENTRED = SPEC.model_copy(
    update={"training": TrainingSpec.model_validate({**SPEC.training.model_dump(), "loss": LOSS})}
)
"""The same study with a loss that learns centres."""


def without_batch_norm(*arguments: Any) -> Any:
    """The network without what differs between one process and two: statistics of the part of a batch."""
    from torch import nn

    from autorf.networks import build

    model = build(*arguments)
    model.head.norm = nn.Identity()
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())
    return model


RESIZED = {"method": "inflation", "dilation": 2}
SEARCHED = {"method": "learned_dilation", "search": 0.8}
RUNS = {
    "whole": (RESIZED, 0, SPEC),
    "stopped": (RESIZED, 1, SPEC),
    "searched": (SEARCHED, 0, SPEC),
    "searched_stopped": (SEARCHED, 1, SPEC),
    "centred": (RESIZED, 0, CENTRED),
    "centred_stopped": (RESIZED, 1, CENTRED),
}
"""What is trained, after how many epochs it is stopped and resumed, and of which study."""


def job(folder: Path, configuration: dict[str, Any], reached: int = 0, spec: StudySpec = SPEC) -> Job:
    return Job(1, "key", configuration, 0, spec, folder, reached=reached)


def main(root: Path, rank: int) -> None:
    import torch
    from lightning.pytorch.plugins.environments import LightningEnvironment
    from lightning.pytorch.strategies import DDPStrategy

    from autorf.running import runner

    runner.build = without_batch_norm

    class OneOfTwo(LightningEnvironment):
        def world_size(self) -> int:
            return 2

        def global_rank(self) -> int:
            return rank

        def local_rank(self) -> int:
            # Each process sees one device.
            return 0

        def set_world_size(self, size: int) -> None:
            pass

        def set_global_rank(self, rank: int) -> None:
            pass

    torch.distributed.init_process_group("gloo", init_method=(root / "meeting").as_uri(), rank=rank, world_size=2)

    def run(name: str, said: list[str], stop: bool = False, reached: int = 0) -> TrialResult:
        def report(epoch: EpochReport) -> None:
            said.append(f"{epoch.loss}\n")

        settings = {"strategy": DDPStrategy(find_unused_parameters=True), "plugins": [OneOfTwo()]}
        configuration, _, spec = RUNS[name]
        return runner.run(job(root / name, configuration, reached, spec), report, lambda: stop, settings)

    for name, (_, stops, _) in RUNS.items():
        said: list[str] = []
        for _ in range(stops):
            run(name, said, stop=True)
        result = run(name, said, reached=len(said))
        assert bool(said) == bool(result.iou_per_class) == (rank == 0)
        if rank == 0:
            (root / f"{name}.said").write_text("".join(said))
            (root / f"{name}.miou").write_text(str(result.miou))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
