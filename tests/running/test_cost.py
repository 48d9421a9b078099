import gc
import mmap

import pytest
import torch
from torch import nn

from autorf.methods import Dilation, Inflation, LearnedDilation, Method, PixelAdaptive, ScaleAdaptive
from autorf.networks import build
from autorf.networks.spec import ModelSpec
from autorf.running.cost import PeakMemory, costs
from autorf.surgery import adapt, advance

CPU = torch.device("cpu")


def test_flops_count_multiplications_and_additions_of_convolutions() -> None:
    found = costs(nn.Conv2d(3, 4, 3, padding=1, bias=False), (8, 10), CPU)
    assert found["flops"] == 2 * 8 * 10 * 4 * 3 * 9
    assert found["parameters"] == 4 * 3 * 9
    assert 0 < found["latency_ms"] < 1000


def test_a_learned_field_costs_what_its_plain_form_does_and_the_model_stays_adapted() -> None:
    spec = ModelSpec(name="largefov:test_byobnet", stage=1, channels=(8, 8))
    plain, learned = build(spec, 5), adapt(build(spec, 5), LearnedDilation())
    advance(learned, 10, 10)
    before = learned.training
    assert costs(learned, (48, 48), CPU)["flops"] == costs(plain, (48, 48), CPU)["flops"]
    assert costs(learned, (48, 48), CPU)["parameters"] == costs(plain, (48, 48), CPU)["parameters"]
    assert learned.training == before
    assert isinstance(learned.get_submodule("head.conv6").method, LearnedDilation)


def test_a_search_that_is_not_over_costs_what_its_evaluation_does_and_a_region_more() -> None:
    spec = ModelSpec(name="largefov:test_byobnet", stage=1, channels=(8, 8))
    searching = adapt(build(spec, 5), LearnedDilation())
    advance(searching, 1, 10)
    dilated = costs(adapt(build(spec, 5), Dilation(rate=3)), (48, 48), CPU)["flops"]
    assert costs(searching, (48, 48), CPU)["flops"] == dilated
    assert costs(adapt(build(spec, 5), Inflation(factor=2)), (48, 48), CPU)["flops"] > dilated


@pytest.mark.parametrize("method", [PixelAdaptive(), ScaleAdaptive()])
def test_a_field_for_every_pixel_has_at_least_the_plain_layers_flops(method: Method) -> None:
    spec = ModelSpec(name="largefov:test_byobnet", stage=1, channels=(8, 8))
    plain = costs(build(spec, 5), (48, 48), CPU)["flops"]
    assert plain <= costs(adapt(build(spec, 5), method), (48, 48), CPU)["flops"] < 1.5 * plain


def test_peak_memory_is_of_the_time_since() -> None:
    # What earlier tests left behind is not to be freed while this one measures.
    gc.collect()
    occupied(60).close()
    first = PeakMemory()
    before = first.megabytes()
    pages = occupied(80)
    peak = first.megabytes()
    assert peak - before == pytest.approx(80, abs=20)
    pages.close()
    assert PeakMemory().megabytes() < peak - 60


def occupied(megabytes: int) -> mmap.mmap:
    """Pages fresh from the operating system, each written to: an allocator may hand out what is already resident."""
    pages = mmap.mmap(-1, megabytes * 2**20)
    pages[:: mmap.PAGESIZE] = bytes(megabytes * 2**20 // mmap.PAGESIZE)
    return pages
