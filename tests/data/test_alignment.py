"""An aligned face lies where it should, and warped there and back no label moves by more than half a pixel."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from autorf.data.alignment import Similarity, canonical_points, inside, scores_on_picture, warped
from autorf.data.landmark_spec import AlignSpec

SIZE = (96, 96)


def similarity(scale: float, degrees: float, across: float = 3.3, down: float = -2.7) -> Similarity:
    """About the middle of a picture of 60 x 70 pixels, into that of an image of :data:`SIZE`."""
    a, b = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    x, y = 34.5, 29.5
    return Similarity(a, b, 47.5 + across - a * x + b * y, 47.5 + down - b * x - a * y)


def test_the_similarity_between_points_is_the_one_that_moved_them():
    rng = np.random.default_rng(0)
    points, moved = rng.normal(size=(5, 2)) * 20, similarity(1.7, 25)
    fitted = Similarity.between(points, moved(points))
    np.testing.assert_allclose(fitted(points), moved(points), atol=1e-9)
    assert fitted.scale == pytest.approx(1.7)
    np.testing.assert_allclose(fitted.inverse(fitted(points)), points, atol=1e-9)


def test_it_is_the_best_of_all_where_none_fits_and_never_a_reflection():
    rng = np.random.default_rng(1)
    points, targets = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))

    def distance(each: Similarity) -> float:
        return float(((each(points) - targets) ** 2).sum())

    best = Similarity.between(points, targets)
    for name in ("a", "b", "across", "down"):
        for step in (-1e-3, 1e-3):
            values = vars(best) | {name: getattr(best, name) + step}
            assert distance(Similarity(**values)) > distance(best)


def test_points_at_one_place_have_none():
    with pytest.raises(ValueError, match="all at one place"):
        Similarity.between(np.ones((5, 2)), np.zeros((5, 2)))


@pytest.mark.parametrize("size", [(100, 100), (100, 160), (200, 80)])
def test_canonical_places_are_shares_of_the_square_in_the_middle(size):
    points = canonical_points(AlignSpec(), size)
    middle = (points[0] + points[1]) / 2 + 0.5
    side = min(size)
    assert middle[0] == pytest.approx(size[1] / 2)
    assert middle[1] == pytest.approx((size[0] - side) / 2 + 0.42 * side)
    assert points[1, 0] - points[0, 0] == pytest.approx(0.24 * side)


def picture_of_labels() -> np.ndarray:
    """Round, slanted and straight parts, ``(60, 70)``."""
    rows, columns = np.mgrid[:60, :70]
    labels = np.zeros((60, 70), np.uint8)
    labels[(rows - 30) ** 2 + (columns - 35) ** 2 < 22**2] = 1
    labels[(rows - 24) ** 2 / 9 + (columns - 27) ** 2 / 25 < 1] = 2
    labels[(np.abs(rows - 40 - 0.3 * (columns - 35)) < 3) & (np.abs(columns - 35) < 12)] = 3
    labels[10:15, 50:60] = 4
    return labels


def changed_by_more_than_half_a_pixel(before: np.ndarray, after: np.ndarray) -> int:
    """Pixels whose label is not one within half a pixel: a border between pixels is half a pixel from their centres."""
    padded = np.pad(before, 1, mode="edge")
    near = [padded[i : i + before.shape[0], j : j + before.shape[1]] for i in range(3) for j in range(3)]
    return int((~(np.stack(near) == after).any(0)).sum())


@pytest.mark.parametrize("scale", [1.0, 1.3, 1.6])
@pytest.mark.parametrize("degrees", [0, 7, -31, 45])
def test_an_aligned_face_warped_there_and_back_moves_no_label_by_more_than_half_a_pixel(scale, degrees):
    labels, there = picture_of_labels(), similarity(scale, degrees, 0.3, -0.4)
    aligned = warped(labels, there, (130, 140), labels=True)
    scores = functional.one_hot(torch.from_numpy(aligned).long(), 5).permute(2, 0, 1)[None].float()
    back = scores_on_picture(scores, there, (60, 70))[0].argmax(0).numpy()
    within = inside(there.inverse, (130, 140), (60, 70))
    assert within.mean() > 0.7
    assert changed_by_more_than_half_a_pixel(labels, np.where(within, back, labels)) == 0
    assert (back != labels)[within].mean() < 0.05
    # A border lies between pixels: where both sides are a pixel and more away, nothing changes at all.
    assert (np.abs(there.inverse(there(np.array([[3.25, 8.5]]))) - [3.25, 8.5]) < 1e-9).all()


def test_a_border_is_where_it_was_to_half_a_pixel_of_its_exact_place():
    """A slanted border through the picture, whose exact distance from each pixel is known."""
    rows, columns = np.mgrid[:60, :70]
    normal = np.array([math.cos(0.4), math.sin(0.4)])
    distance = (columns - 33.2) * normal[0] + (rows - 28.9) * normal[1]
    labels, there = (distance > 0).astype(np.uint8), similarity(1.5, 20)
    aligned = warped(labels, there, (130, 140), labels=True)
    scores = functional.one_hot(torch.from_numpy(aligned).long(), 2).permute(2, 0, 1)[None].float()
    back = scores_on_picture(scores, there, (60, 70))[0].argmax(0).numpy()
    within = inside(there.inverse, (130, 140), (60, 70))
    moved = np.abs(distance)[within & (back != labels)]
    assert moved.size == 0 or moved.max() <= 0.5


def test_landmarks_come_to_lie_where_pixels_do():
    picture = np.zeros((60, 70), np.uint8)
    picture[19:22, 29:32] = 255
    there = similarity(1.5, 20)
    image = warped(picture, there, SIZE, labels=False).astype(np.float64)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    centre = [(columns * image).sum() / image.sum(), (rows * image).sum() / image.sum()]
    np.testing.assert_allclose(centre, there(np.array([[30.0, 20.0]]))[0], atol=0.15)


@pytest.mark.parametrize("scale", [0.9, 0.5, 0.23])
def test_a_picture_that_shrinks_is_shrunk_without_aliasing_and_to_the_same_place(scale):
    rows, columns = np.mgrid[:240, :280]
    stripes = (255 * ((columns // 2) % 2)).astype(np.uint8)
    shrunk = warped(stripes, Similarity(scale / 4, 0, 0.5, 0.5), (20, 20), labels=False).astype(int)
    assert np.ptp(shrunk[3:12, 3:12]) < 40, "stripes become grey, not other stripes"
    spot = (255 * ((rows - 100) ** 2 + (columns - 130) ** 2 < 30**2)).astype(np.uint8)
    image = warped(spot, Similarity(scale, 0, 1.3, 2.6), (240, 280), labels=False).astype(np.float64)
    centre = [(columns * image).sum() / image.sum(), (rows * image).sum() / image.sum()]
    np.testing.assert_allclose(centre, [130 * scale + 1.3, 100 * scale + 2.6], atol=0.3)
