"""The teacher's scores are kept whole or not at all, and are what the teacher says."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from autorf.data import InMemory, SegmentationSet
from autorf.distillation.teacher_scores import chosen, kept_scores, teacher_scores

CPU = torch.device("cpu")


@pytest.fixture
def images() -> SegmentationSet:
    generator = torch.Generator().manual_seed(0)
    colours = torch.randint(0, 256, (5, 3, 8, 6), generator=generator, dtype=torch.uint8)
    return SegmentationSet(InMemory(colours, torch.zeros(5, 8, 6, dtype=torch.uint8)), (8, 6), None)


class Counting(nn.Module):
    """A teacher that counts what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Conv2d(3, 4, 3, stride=2, padding=1))
        self.seen = 0

    def forward(self, image: Tensor) -> Tensor:
        self.seen += len(image)
        scores: Tensor = self.layer(image)
        return scores


def test_scores_are_those_of_the_teacher_in_evaluation_mode(images: SegmentationSet, tmp_path: Path) -> None:
    teacher = Counting()
    scores = kept_scores(tmp_path / "scores.npy", images, lambda: teacher, 2, CPU)
    expected = teacher_scores(teacher.eval(), images.tensors(range(5))[0])
    assert scores.shape == (5, 4, 4, 3)
    torch.testing.assert_close(chosen(scores, range(5)), expected)
    torch.testing.assert_close(chosen(scores, [3, 1]), expected[[3, 1]])


def test_they_are_computed_once(images: SegmentationSet, tmp_path: Path) -> None:
    teacher = Counting()
    for _ in range(2):
        kept_scores(tmp_path / "scores.npy", images, lambda: teacher, 2, CPU)
    assert teacher.seen == 5


def test_a_file_that_is_cut_or_of_other_images_is_made_anew(images: SegmentationSet, tmp_path: Path) -> None:
    file, teacher = tmp_path / "scores.npy", Counting()
    kept_scores(file, images, lambda: teacher, 2, CPU)
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    kept_scores(file, images, lambda: teacher, 2, CPU)
    assert file.read_bytes() == whole
    fewer = images.with_source(InMemory(images.source.images[:3], images.source.masks[:3]))  # type: ignore[attr-defined]
    assert len(kept_scores(file, fewer, lambda: teacher, 2, CPU)) == 3


def test_a_teacher_that_fails_leaves_no_file_under_its_name(images: SegmentationSet, tmp_path: Path) -> None:
    class Failing(Counting):
        def forward(self, image: Tensor) -> Tensor:
            if self.seen > 2:
                raise RuntimeError("the power went")
            return super().forward(image)

    file = tmp_path / "scores.npy"
    with pytest.raises(RuntimeError, match="the power went"):
        kept_scores(file, images, Failing, 2, CPU)
    assert not file.exists()
    assert len(kept_scores(file, images, Counting, 2, CPU)) == 5
