"""Accuracies of pictures and their influences, against counting one by one and against leaving pictures out."""

import numpy as np
import pytest
import torch

from autorf.accuracy import Outcomes, accuracies, ranks, tally
from autorf.errors import InputError

NAMES = tuple("abcdefg")


def drawn(n: int = 200, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(len(NAMES) - 1, (n,), generator=generator)
    scores = torch.randn(n, len(NAMES), generator=generator)
    scores[torch.arange(n), labels] += 1
    return scores, labels


def test_ranks_are_those_of_sorting():
    scores, labels = drawn()
    order = scores.argsort(dim=1, descending=True, stable=True)
    assert torch.equal(ranks(scores, labels), (order == labels[:, None]).int().argmax(1))


def test_of_equal_scores_the_lower_class_comes_first():
    assert ranks(torch.zeros(3, 3), torch.tensor([0, 1, 2])).tolist() == [0, 1, 2]


def test_scores_that_are_no_numbers_are_never_right():
    scores = torch.tensor([[np.nan, np.nan, np.nan], [np.nan, 1.0, 0.0], [0.0, np.nan, 1.0], [np.inf, np.nan, 0.0]])
    assert (ranks(scores, torch.tensor([0, 1, 1, 0])) > 0).all()


def test_accuracies_are_the_shares_of_right_pictures():
    scores, labels = drawn()
    measured = accuracies(tally(labels, ranks(scores, labels), len(NAMES)), NAMES)
    hits = scores.argmax(1) == labels
    assert measured.accuracy == pytest.approx(hits.double().mean().item())
    among = (scores.topk(5).indices == labels[:, None]).any(1)
    assert measured.top5_accuracy == pytest.approx(among.double().mean().item())
    by_class = [hits[labels == c].double().mean().item() for c in range(len(NAMES) - 1)]
    assert measured.class_accuracy == pytest.approx(np.mean(by_class))
    assert list(measured.accuracy_per_class.values())[:-1] == pytest.approx(by_class)
    assert measured.accuracy_per_class["g"] is None, "it has no picture, and no part in the mean"
    assert measured.by_name.keys() == {"accuracy", "top5_accuracy", "class_accuracy"}


def test_of_five_classes_the_first_five_say_nothing():
    counts = tally(torch.tensor([0, 1]), torch.tensor([0, 3]), 5)
    assert accuracies(counts, tuple("abcde")).by_name == {"accuracy": 0.5, "class_accuracy": 0.5}


def test_tallies_of_batches_add_up_and_foreign_classes_are_refused():
    scores, labels = drawn()
    of_labels = ranks(scores, labels)
    parts = [tally(labels[part], of_labels[part], 7) for part in (slice(0, 50), slice(50, None))]
    assert torch.equal(parts[0] + parts[1], tally(labels, of_labels, 7))
    with pytest.raises(InputError, match="labels hold 0 to 5; legal are 0 to 3"):
        tally(labels, of_labels, 4)
    with pytest.raises(InputError, match="3 class names for counts"):
        accuracies(parts[0], tuple("abc"))


@pytest.mark.parametrize("metric", ["accuracy", "top5_accuracy", "class_accuracy"])
def test_outcomes_have_the_metrics_and_their_jackknife(metric):
    scores, labels = drawn(120)
    of_labels = ranks(scores, labels)
    outcomes = Outcomes(labels.numpy(), of_labels.numpy())
    whole = accuracies(tally(labels, of_labels, len(NAMES)), NAMES).by_name[metric]
    assert outcomes.pooled(metric) == pytest.approx(whole)
    moved = outcomes.influence(metric)
    assert moved.mean() == pytest.approx(0, abs=1e-12)
    kept = np.arange(120)
    without = [Outcomes(labels.numpy()[kept != i], of_labels.numpy()[kept != i]).pooled(metric) for i in kept]
    # The infinitesimal jackknife is the limit of leaving pictures out one by one.
    np.testing.assert_allclose(moved, 119 * (whole - np.array(without)), atol=0.12)
    np.testing.assert_allclose(np.var(moved), np.var(119 * (whole - np.array(without))), rtol=0.15)
