"""A trial in two processes is the trial in one: loss, weights, every validation pixel once, resumed or not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from autorf.data import load
from autorf.running import runner
from autorf.running.evidence import read_evidence
from autorf.training.batches import EpochBatches
from autorf.training.packing import unpack
from autorf.training.parallel import Shard
from autorf.training.results import EpochReport
from autorf.training.resuming import NAMES
from tests.driver.one_of_two import CENTRES, EPOCHS, N_VAL, RESIZED, RUNS, SPEC, job, without_batch_norm


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has trained :data:`RUNS` in two processes each."""
    root = tmp_path_factory.mktemp("parallel")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", str(Path(__file__).parent / "one_of_two.py"), str(root)]
    both = [
        subprocess.Popen([*command, str(rank)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for rank in (0, 1)
    ]
    said = [process.communicate(timeout=300)[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    return root


def centres(folder: Path) -> Tensor:
    return unpack((folder / NAMES[0]).read_bytes())["state_dict"][CENTRES]


@pytest.mark.parametrize("name", ["whole", "centred"])
def test_two_processes_train_what_one_does(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(runner, "build", without_batch_norm)
    reported: list[EpochReport] = []
    alone = runner.run(job(tmp_path, RESIZED, spec=RUNS[name][2]), reported.append)
    lines = (folders / f"{name}.said").read_text().splitlines()
    assert len(lines) == EPOCHS
    assert [float(line) for line in lines] == pytest.approx([epoch.loss for epoch in reported], rel=1e-5)
    assert alone.epochs == EPOCHS
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (folders / name, tmp_path))
    assert ours.keys() == theirs.keys()
    for layer, weight in theirs.items():
        assert torch.allclose(ours[layer], weight, atol=1e-5), layer
    if name == "centred":
        assert torch.allclose(centres(folders / name), centres(tmp_path), atol=1e-5)
        assert (centres(tmp_path) != 0).all()


def test_validation_counts_every_pixel_of_every_image_once(folders: Path) -> None:
    evidence = read_evidence(folders / "whole")
    assert evidence is not None
    assert evidence.n_images == N_VAL
    assert sorted(set(evidence.cells[:, 0].tolist())) == list(range(N_VAL))
    assert int(evidence.counts.sum()) == N_VAL * SPEC.data.image_size[0] * SPEC.data.image_size[1]
    tallies = evidence.tallies.sum(0)
    hits, labelled, predicted = tallies.T
    occurs = labelled + predicted > 0
    iou = (hits[occurs] / (labelled + predicted - hits)[occurs]).double().mean()
    assert float((folders / "whole.miou").read_text()) == pytest.approx(float(iou))


@pytest.mark.parametrize(
    "names", [("stopped", "whole"), ("searched_stopped", "searched"), ("centred_stopped", "centred")]
)
def test_a_stopped_training_continues_in_two_processes_to_the_same_weights(
    folders: Path, names: tuple[str, str]
) -> None:
    said = [(folders / f"{name}.said").read_text() for name in names]
    assert said[0] == said[1]
    contents = [(folders / name / "model.safetensors").read_bytes() for name in names]
    assert contents[0] == contents[1]
    if names[1] == "centred":
        assert torch.equal(*(centres(folders / name) for name in names))


@pytest.mark.parametrize(("batch", "processes"), [(8, 2), (6, 3), (64, 4)])
def test_shards_of_a_shuffled_batch_are_equal_and_those_of_a_split_hold_each_image_once(
    batch: int, processes: int
) -> None:
    images = load(SPEC.data).train
    shards = [Shard(rank, processes) for rank in range(processes)]
    shuffled = [list(EpochBatches(images, batch, 0, shuffle=True, shard=shard)) for shard in shards]
    assert len({tuple(len(part) for part in parts) for parts in shuffled}) == 1
    whole = list(EpochBatches(images, batch, 0, shuffle=True))
    for step, parts in enumerate(zip(*shuffled, strict=True)):
        together = {image for part in parts for image in part}
        assert together <= set(whole[step])
        assert len(together) == len(whole[step]) // processes * processes
    in_order = [list(EpochBatches(images, batch, 0, shuffle=False, shard=shard)) for shard in shards]
    assert [image for parts in in_order for part in parts for image in part] == list(range(len(images)))
