import math

import pytest
import torch
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_jaccard_index

from autorf.errors import InputError
from autorf.metrics import confusion, scores

NAMES = ("a", "b", "c")


def maps(n_classes=5, shape=(3, 17, 11), seed=0):
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, n_classes, shape, generator=generator)
    noise = torch.randint(0, n_classes, shape, generator=generator)
    right = torch.rand(shape, generator=generator) < 0.6
    return torch.where(right, target, noise), target


def test_rows_are_labels_and_columns_predictions():
    prediction, target = torch.tensor([[[0, 1], [1, 2]]]), torch.tensor([[[0, 0], [1, 1]]])
    assert confusion(prediction, target, 3).tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]


def test_ignored_pixels_are_left_out():
    prediction, target = torch.tensor([[[0, 1], [1, 2]]]), torch.tensor([[[0, 255], [1, 255]]])
    assert confusion(prediction, target, 3, ignore_index=255).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_an_ignored_value_may_be_one_of_the_classes():
    prediction, target = maps()
    counts = confusion(prediction, target, 5, ignore_index=2)
    assert counts[2].sum() == 0
    assert counts.sum() == (target != 2).sum()


def test_matrices_of_batches_add_up_to_that_of_the_set():
    prediction, target = maps()
    parts = sum(confusion(p[None], t[None], 5) for p, t in zip(prediction, target, strict=True))
    assert torch.equal(parts, confusion(prediction, target, 5))


def test_the_matrix_is_that_of_sklearn_and_torchmetrics():
    prediction, target = maps()
    counts = confusion(prediction, target, 5)
    assert counts.tolist() == confusion_matrix(target.flatten(), prediction.flatten(), labels=range(5)).tolist()
    target[0] = 255
    ours = confusion(prediction, target, 5, ignore_index=255)
    assert torch.equal(ours, multiclass_confusion_matrix(prediction, target, 5, ignore_index=255))


def test_a_matrix_of_eight_bit_maps_does_not_overflow():
    prediction, target = maps(n_classes=20)
    assert torch.equal(confusion(prediction.byte(), target.byte(), 20), confusion(prediction, target, 20))


def test_scores_of_a_matrix_computed_by_hand():
    result = scores(torch.tensor([[6, 2, 0], [1, 3, 0], [0, 1, 7]]), NAMES)
    assert result.iou == pytest.approx({"a": 6 / 9, "b": 3 / 7, "c": 7 / 8})
    assert result.f1_per_class == pytest.approx({"a": 12 / 15, "b": 6 / 10, "c": 14 / 15})
    assert result.miou == pytest.approx((6 / 9 + 3 / 7 + 7 / 8) / 3)
    assert result.f1 == pytest.approx((12 / 15 + 6 / 10 + 14 / 15) / 3)
    assert result.pixel_accuracy == pytest.approx(16 / 20)
    assert result.f1_groups == {}
    assert result.f1_overall is None


def test_scores_are_those_of_sklearn_and_torchmetrics():
    prediction, target = maps()
    result = scores(confusion(prediction, target, 5), "vwxyz")
    flat = target.flatten(), prediction.flatten()
    assert list(result.iou.values()) == pytest.approx(jaccard_score(*flat, average=None))
    assert result.f1 == pytest.approx(f1_score(*flat, average="macro"))
    assert result.miou == pytest.approx(float(multiclass_jaccard_index(prediction, target, 5)), abs=1e-6)
    assert result.pixel_accuracy == pytest.approx(float((prediction == target).double().mean()))


def test_miou_is_pooled_over_the_set_and_not_averaged_over_images():
    prediction = torch.tensor([[[0, 0, 0, 0]], [[0, 1, 1, 1]]])
    target = torch.tensor([[[0, 0, 0, 1]], [[1, 1, 1, 1]]])
    pooled = scores(confusion(prediction, target, 2), "ab").miou
    each = [scores(confusion(p[None], t[None], 2), "ab").miou for p, t in zip(prediction, target, strict=True)]
    assert pooled == pytest.approx((3 / 5 + 3 / 5) / 2)
    assert pooled != pytest.approx(sum(each) / 2)


def test_a_class_that_does_not_occur_has_no_value_and_no_part_in_the_means():
    result = scores(torch.tensor([[6, 2, 0], [1, 3, 0], [0, 0, 0]]), NAMES)
    assert result.iou["c"] is None
    assert result.f1_per_class["c"] is None
    assert result.miou == pytest.approx((6 / 9 + 3 / 6) / 2)


def test_a_class_that_is_only_predicted_has_no_part_in_the_means_whatever_is_predicted():
    result = scores(torch.tensor([[6, 2, 1], [1, 3, 0], [0, 0, 0]]), NAMES)
    assert result.iou["c"] is None
    assert result.f1_per_class["c"] is None
    assert result.miou == pytest.approx((6 / 10 + 3 / 6) / 2)
    assert result.f1 == pytest.approx((12 / 16 + 6 / 9) / 2)


def test_classes_that_are_left_out_keep_their_own_values():
    counts = torch.tensor([[6, 2, 0], [1, 3, 0], [0, 1, 7]])
    result = scores(counts, NAMES, left_out=(1,))
    assert result.miou == pytest.approx((6 / 9 + 7 / 8) / 2)
    assert result.iou["b"] == pytest.approx(3 / 7)
    assert result.pixel_accuracy == pytest.approx(16 / 20)
    with pytest.raises(InputError, match="left_out: unknown class 3; legal are 0 to 2"):
        scores(counts, NAMES, left_out=(3,))


def test_a_set_without_labelled_pixels_has_no_score():
    result = scores(torch.zeros(3, 3, dtype=torch.long), NAMES)
    assert math.isnan(result.miou)
    assert math.isnan(result.f1)
    assert math.isnan(result.pixel_accuracy)


def test_confusions_inside_a_group_count_as_correct():
    counts = torch.tensor([[50, 3, 0, 1], [2, 10, 4, 0], [1, 5, 20, 0], [0, 0, 2, 9]])
    result = scores(counts, ("skin", "left eye", "right eye", "mouth"), {"eyes": (1, 2), "overall": (1, 2, 3)})
    hits = 10 + 4 + 5 + 20
    assert result.f1_groups["eyes"] == pytest.approx(2 * hits / (2 * hits + (2 + 1) + (3 + 0 + 0 + 2)))
    hits += 2 + 9
    assert result.f1_overall == pytest.approx(2 * hits / (2 * hits + (2 + 1 + 0) + (3 + 0 + 1)))


def test_a_groups_f1_is_that_of_the_relabelled_maps():
    prediction, target = maps()
    merge = torch.tensor([0, 1, 2, 1, 1])
    merged = scores(confusion(merge[prediction], merge[target], 3), NAMES)
    grouped = scores(confusion(prediction, target, 5), "vwxyz", {"b": (1, 3, 4), "c": (2,)})
    assert grouped.f1_groups["b"] == pytest.approx(merged.f1_per_class["b"])
    assert grouped.f1_groups["c"] == pytest.approx(merged.f1_per_class["c"])


def test_a_group_that_does_not_occur_has_no_value():
    assert scores(torch.tensor([[6, 0], [0, 0]]), "ab", {"g": (1,)}).f1_groups == {"g": None}


def test_large_sets_are_counted_exactly():
    counts = torch.tensor([[2**40, 1], [0, 2**40]])
    assert scores(counts, "ab").iou["a"] == pytest.approx(2**40 / (2**40 + 1), abs=1e-15)


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        (torch.zeros(1, 2, 2).long(), torch.zeros(1, 2, 3).long(), "maps of one shape, got (1, 2, 2) and (1, 2, 3)"),
        (torch.zeros(1, 2, 2).long(), torch.full((1, 2, 2), 3), "target holds classes 3 to 3; legal are 0 to 2"),
        (torch.full((1, 2, 2), -1), torch.zeros(1, 2, 2).long(), "prediction holds classes -1 to -1; legal are 0 to 2"),
    ],
)
def test_maps_that_cannot_be_counted_are_refused(prediction, target, message):
    with pytest.raises(InputError) as error:
        confusion(prediction, target, 3)
    assert message in str(error.value)


def test_an_ignored_pixel_may_hold_any_prediction():
    prediction, target = torch.tensor([[[9, 1]]]), torch.tensor([[[255, 1]]])
    assert confusion(prediction, target, 3, ignore_index=255).sum() == 1


@pytest.mark.parametrize(
    ("names", "groups", "message"),
    [
        ("ab", None, "2 class names for a confusion matrix of (3, 3)"),
        ("abc", {"g": (1, 3)}, "label group 'g': unknown class 3; legal are 0 to 2"),
        ("abc", {"g": ()}, "label group 'g': holds no class"),
    ],
)
def test_names_and_groups_must_fit_the_matrix(names, groups, message):
    with pytest.raises(InputError) as error:
        scores(torch.eye(3), names, groups)
    assert message in str(error.value)
