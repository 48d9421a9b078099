"""Values given in a call are refused in one line too, as those of a file are."""

import copy
import pickle

import pytest

from autorf.errors import InputError
from autorf.methods import Dilation, Inflation, LearnedDilation


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: Dilation(targets="x", rate=0),
            r"^Dilation: rate: a dilation must be a positive integer, at most .* .got 0.$",
        ),
        (lambda: LearnedDilation(targts="x"), "^LearnedDilation: targts: unknown key; did you mean targets"),
        (lambda: Inflation(factor="x", low=-1), "^Inflation: factor: must be .*; low: must be greater than 0, got -1$"),
        (lambda: Inflation(start="a"), "^Inflation: start and end go together"),
    ],
)
def test_a_call_with_wrong_values_is_refused_in_one_line(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_specifications_are_copied_and_pickled_as_ever():
    method = Dilation(targets="x", rate=2)
    assert pickle.loads(pickle.dumps(method)) == copy.deepcopy(method) == method
    assert method.model_copy(update={"rate": 3}).rate == 3
