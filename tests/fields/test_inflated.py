"""Tables 2 to 4 of the inflation paper: VGG-16 up to pool5 (212 pixels, stride 8), kernel 4 on Helen, 3 on VOC."""

import pytest

from autorf.errors import InputError
from autorf.fields import inflated_field, inflated_kernel, receptive_field
from autorf.networks import ModelSpec, build

HELEN, VOC = 4, 3

TABLE_2_BASELINE = [(2, 260), (4, 308), (6, 356), (8, 404), (10, 452), (12, 500), (14, 548)]
TABLE_2_LEARNED = [(2, 2.44, 236), (2, 0.88, 284), (6, 1.82, 292), (8, 2.61, 284), (10, 2.44, 316), (12, 3.60, 292)]
TABLE_3_BASELINE = [(4, 276), (6, 308), (8, 340), (10, 372), (12, 404), (14, 436), (16, 468), (18, 500), (20, 532)]
TABLE_3_LEARNED = [(16, 1.46, 396), (18, 1.56, 404), (20, 1.61, 420)]
# The formula gives these; the paper prints other numbers in these two rows.
TABLE_3_DEVIATIONS = [(4, 0.73, 316, 332), (6, 0.76, 356, 364)]
TABLE_4_BASELINE = [(4, 308), (6, 356), (8, 404)]
TABLE_4_LEARNED = [(8, 3.32, 268), (8, 1.27, 372), (8, 1.61, 340), (8, 1.12, 396), (8, 1.11, 396)]


@pytest.mark.parametrize(("dilation", "rf"), TABLE_2_BASELINE + TABLE_4_BASELINE)
def test_dilated_networks_on_helen_have_the_printed_fields(dilation: int, rf: int) -> None:
    assert inflated_field(212, 8, HELEN, dilation, 1) == rf


@pytest.mark.parametrize(("kernel", "dilation", "rf"), [(HELEN, 2, 260), (VOC, 12, 404)])
def test_our_field_of_the_papers_network_is_8_px_above_for_it_has_the_final_up_sampling(
    kernel: int, dilation: int, rf: int
) -> None:
    spec = ModelSpec(
        name="largefov:vgg16",
        output_stride=8,
        kernel=kernel,
        dilation=dilation,
        channels=(8, 8),  # type: ignore[arg-type]
    )
    assert receptive_field(build(spec, 7), (513, 513)).size == (rf + 8, rf + 8)


@pytest.mark.parametrize(("dilation", "rf"), TABLE_3_BASELINE)
def test_dilated_networks_on_voc_have_the_printed_fields(dilation: int, rf: int) -> None:
    assert inflated_field(212, 8, VOC, dilation, 1) == rf


@pytest.mark.parametrize(("dilation", "factor", "rf"), TABLE_2_LEARNED + TABLE_4_LEARNED)
def test_learned_factors_on_helen_give_the_printed_fields(dilation: int, factor: float, rf: int) -> None:
    assert inflated_field(212, 8, HELEN, dilation, factor) == rf


@pytest.mark.parametrize(("dilation", "factor", "rf"), TABLE_3_LEARNED)
def test_learned_factors_on_voc_give_the_printed_fields(dilation: int, factor: float, rf: int) -> None:
    assert inflated_field(212, 8, VOC, dilation, factor) == rf


@pytest.mark.parametrize(("dilation", "factor", "rf", "printed"), TABLE_3_DEVIATIONS)
def test_two_rows_of_table_3_deviate_from_the_papers_own_formula(
    dilation: int, factor: float, rf: int, printed: int
) -> None:
    assert inflated_field(212, 8, VOC, dilation, factor) == rf
    assert rf != printed


def test_impossible_kernels_are_refused() -> None:
    for kernel, dilation, factor in ((0, 1, 1.0), (3, 0, 1.0), (3, 1, 0.0), (3, 1, float("inf"))):
        with pytest.raises(
            InputError, match=r"(kernel|dilation) must be a whole number from 1|factor must be positive"
        ):
            inflated_kernel(kernel, dilation, factor)
    with pytest.raises(InputError, match="rf_in must be a whole number from 1"):
        inflated_field(0, 8, 3, 1, 1.0)
