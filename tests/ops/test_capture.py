"""The marker operators compute what their receptive fields say."""

import pytest
import torch
from torch.nn import functional

from autorf.ops.capture import real_dilated_conv2d, resample2d
from autorf.ops.inflation import inflate


@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)])
def test_a_whole_dilation_is_a_convolution_of_ones(dilation: tuple[int, int]) -> None:
    x = torch.rand(2, 3, 11, 8, dtype=torch.float64)
    expected = functional.conv2d(
        x, torch.ones(4, 3, 3, 5, dtype=torch.float64), padding=(dilation[0], 2 * dilation[1]), dilation=dilation
    )
    torch.testing.assert_close(real_dilated_conv2d(x, 4, [3, 5], [float(d) for d in dilation]), expected)


def test_a_fractional_dilation_reads_between_two_pixels() -> None:
    x = torch.zeros(1, 1, 1, 9)
    x[..., 4] = 1
    y = real_dilated_conv2d(x, 1, [1, 3], [1.0, 2.25])[0, 0, 0]
    torch.testing.assert_close(y, torch.tensor([0, 0.25, 0.75, 0, 1, 0, 0.75, 0.25, 0]))


def test_an_even_kernel_reaches_further_before() -> None:
    x = torch.zeros(1, 1, 1, 7)
    x[..., 3] = 1
    assert real_dilated_conv2d(x, 1, [1, 2], [1.0, 2.0])[0, 0, 0].tolist() == [0, 0, 0, 1, 0, 1, 0]


def test_resampling_is_inflation() -> None:
    x = torch.rand(2, 3, 7, 9, dtype=torch.float64)
    expected = inflate(x, 1.3)
    torch.testing.assert_close(resample2d(x, expected.shape[2], expected.shape[3], 1.3, 1.3), expected)


def test_the_markers_pass_torchs_own_checks_of_an_operator() -> None:
    x = torch.rand(1, 2, 6, 5)
    torch.library.opcheck(
        real_dilated_conv2d, (x, 3, [3, 3], [1.5, 2.0]), test_utils=("test_schema", "test_faketensor")
    )
    torch.library.opcheck(resample2d, (x, 9, 8, 1.5, 1.6), test_utils=("test_schema", "test_faketensor"))
