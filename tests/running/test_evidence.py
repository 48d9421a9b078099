import errno
import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autorf.data import Splits
from autorf.data.segmentation_set import SegmentationSet
from autorf.data.sources import InMemory
from autorf.methods import ScaleAdaptive
from autorf.metrics import confusion
from autorf.running.evidence import FILE, SIZE_EDGES, Evidence, read_evidence, write_evidence
from autorf.running.evidence_collector import SAMPLE_SIDE, EvidenceCollector, objects
from autorf.surgery import adapt, advance

IGNORED = 255


def splits_of(masks: Tensor) -> Splits:
    n, height, width = masks.shape
    images = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 3, height, width).contiguous() * 40
    val = SegmentationSet(InMemory(images, masks.byte()), (height, width), IGNORED)
    return Splits(val, val, None, 3, IGNORED, ("background", "a", "b"), (height, width))


@pytest.fixture
def masks() -> Tensor:
    masks = torch.zeros(8, 12, 20, dtype=torch.long)
    masks[:, 2:5, 2:5] = 1
    masks[:, 4:6, 5:7] = 1  # touches the square at a corner only: still one object
    masks[:, 8:10, 10:18] = 2
    masks[:, 0, 0] = IGNORED
    return masks


def gathered(masks: Tensor, prediction: Tensor, model: nn.Module | None = None) -> Evidence:
    splits = splits_of(masks)
    collector = EvidenceCollector(splits)
    for start in (0, 3, 6):
        images, truth = splits.val.tensors(range(start, min(start + 3, len(masks))))
        if model is not None:
            model(images)
        collector.add(images, truth, prediction[start : start + 3], model or nn.Identity())
    found = collector.evidence()
    assert found is not None
    return found


def test_every_image_keeps_its_own_confusion_and_they_add_up_to_the_pooled_one(masks: Tensor) -> None:
    prediction = torch.randint(0, 3, masks.shape)
    found = gathered(masks, prediction)
    for index in range(len(masks)):
        expected = confusion(prediction[index], masks[index], 3, IGNORED)
        assert torch.equal(found.confusion[index].long(), expected)
    hits, labelled, predicted = found.tallies.sum(0).T
    pooled = confusion(prediction, masks, 3, IGNORED)
    assert torch.equal(hits, pooled.diag())
    assert torch.equal(labelled, pooled.sum(1))
    assert torch.equal(predicted, pooled.sum(0))


def test_objects_are_components_of_the_truth_with_area_hits_and_mean_of_the_map(masks: Tensor) -> None:
    prediction = masks[0].clone()
    prediction[2, 2:5] = 2
    map = np.zeros((12, 20), np.float32)
    map[8:10, 10:18] = 1.5
    found = objects(masks[0].numpy(), prediction.numpy(), map, splits_of(masks))
    assert found[1:].tolist() == [[1, 13, 10, 0.0], [2, 16, 16, 1.5]]
    assert found[0, :3].tolist() == [0, 12 * 20 - 30, 12 * 20 - 30]
    assert np.isnan(objects(masks[0].numpy(), prediction.numpy(), None, splits_of(masks))[:, 3]).all()


def test_objects_are_binned_by_the_side_of_a_square_of_their_area() -> None:
    areas = torch.tensor([1, 63, 64, 255, 256, 600_000])
    none = torch.empty(0)
    found = Evidence(
        ("x", "y"), None, 1, none, none,
        torch.stack([areas * 0, areas * 0 + 1, areas, areas // 2], dim=1).int(), none, none, none, none, none,
    )  # fmt: skip
    assert found.size_objects[:, 1].tolist() == [2, 2, 1, 0, 0, 0, 0, 1]
    assert found.size_totals[:, 1].tolist() == [64, 319, 256, 0, 0, 0, 0, 600_000]
    assert found.size_hits[0, 1] == 31
    assert len(found.size_hits) == len(SIZE_EDGES) + 1


def test_what_was_written_is_read_again_the_same(masks: Tensor, tmp_path: Path) -> None:
    model = adapt(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1)), ScaleAdaptive(targets=("0",)))
    advance(model, 0, 1)
    found = gathered(masks, masks.clamp(max=2), model.eval())
    write_evidence(tmp_path, found)
    again = read_evidence(tmp_path)
    assert again is not None
    assert again.map_name == "scale"
    for one in fields(Evidence):
        before, after = getattr(found, one.name), getattr(again, one.name)
        same = torch.equal(before, after) if isinstance(before, Tensor) else before == after
        assert same, one.name
    assert (found.object_scales - 1).abs().max() < 0.1


def test_samples_are_evenly_spaced_small_and_look_like_the_images(masks: Tensor) -> None:
    found = gathered(masks, masks.clamp(max=2))
    assert found.sample_indices.tolist() == [0, 1, 3, 4, 6, 7]
    assert found.samples.shape == (6, 3, 12, 20)
    assert found.samples[:, 0, 0, 0].tolist() == [0, 40, 120, 160, 240, 24]  # 7 * 40 wraps round in uint8
    assert torch.equal(found.sample_truth.long(), masks[found.sample_indices])
    assert found.maps is None
    large = torch.zeros(1, 300, 600, dtype=torch.long)
    assert gathered(large, large).samples.shape == (1, 3, 128, SAMPLE_SIDE)


def test_a_missing_foreign_or_torn_file_is_no_evidence(tmp_path: Path, masks: Tensor) -> None:
    assert read_evidence(tmp_path) is None
    write_evidence(tmp_path, gathered(masks, masks.clamp(max=2)))
    whole = (tmp_path / FILE).read_bytes()
    for content in (b"", b"no safetensors", whole[:200], whole.replace(b'"format\\": 1', b'"format\\": 9'), whole[:-9]):
        (tmp_path / FILE).write_bytes(content)
        assert read_evidence(tmp_path) is None


def test_a_full_disk_is_an_error_that_names_the_file(
    masks: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"evidence\.safetensors could not be written: No space left on device"):
        write_evidence(tmp_path, gathered(masks, masks.clamp(max=2)))
    assert not list(tmp_path.iterdir())
