import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn.functional import conv2d, one_hot

from autorf.errors import InputError
from autorf.ops import _tap_products, pixel_adaptive, pixel_adaptive_conv2d
from autorf.ops.reference import pixel_adaptive_conv2d_reference

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])

# (N, C_in, C_out, H, W), kernel, rates, groups
CASES = [
    ((2, 4, 6, 7, 11), (3, 3), (1, 2, 4), 1),
    ((1, 6, 6, 13, 5), (3, 5), (2, 3), 3),
    ((3, 8, 8, 9, 9), (3, 3), (1, 2, 4), 8),
    ((2, 4, 5, 8, 15), (5, 3), (1, 2, 4, 7), 1),
    ((1, 3, 5, 1, 1), (3, 3), (1, 2), 1),
    ((1, 4, 2, 6, 1), (1, 3), (3,), 1),
    ((2, 3, 4, 5, 6), (1, 1), (1, 9), 1),
]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=[None, 2048, 256])
def table_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The CPU path cuts the work into blocks: all at once, images apart, and channels apart as well."""
    if request.param is not None:
        monkeypatch.setattr(_tap_products, "_TABLE_BYTES", request.param)
        monkeypatch.setattr(pixel_adaptive, "_CACHED_ENTRIES", 0)
    monkeypatch.setattr(_tap_products, "_thread", threading.local())
    return


def _tensors(
    sizes: tuple[int, ...], kernel: tuple[int, int], rates: tuple[int, ...], groups: int, device: str = "cpu"
) -> list[Tensor]:
    n, c_in, c_out, height, width = sizes
    shapes = [(n, c_in, height, width), (c_out, c_in // groups, *kernel), (c_out,)]
    tensors = [torch.randn(shape, dtype=torch.float64, device=device, requires_grad=True) for shape in shapes]
    shares = torch.randn(n, len(rates), height, width, dtype=torch.float64, device=device).softmax(1)
    return [*tensors, shares.requires_grad_()]


def _convolutions(
    image: Tensor, weight: Tensor, bias: Tensor | None, rates: tuple[int, ...], groups: int
) -> list[Tensor]:
    reach = (weight.shape[2] // 2, weight.shape[3] // 2)
    paddings = [(rate * reach[0], rate * reach[1]) for rate in rates]
    return [
        conv2d(image, weight, bias, padding=padding, dilation=rate, groups=groups)
        for rate, padding in zip(rates, paddings, strict=True)
    ]


def _naive(
    image: Tensor, weight: Tensor, bias: Tensor | None, shares: Tensor, rates: tuple[int, ...], groups: int = 1
) -> Tensor:
    terms = _convolutions(image, weight, None, rates, groups)
    output = sum(term * share.unsqueeze(1) for term, share in zip(terms, shares.unbind(1), strict=True))
    assert isinstance(output, Tensor)
    return output if bias is None else output + bias.view(1, -1, 1, 1)


def _one_hot(shares: Tensor) -> Tensor:
    return one_hot(shares.argmax(1), shares.shape[1]).permute(0, 3, 1, 2).to(shares.dtype)


def _gradients(output: Tensor, tensors: list[Tensor]) -> tuple[Tensor, ...]:
    pattern = torch.linspace(-1, 2, output.numel(), dtype=output.dtype, device=output.device)
    return torch.autograd.grad(output, tensors, pattern.view(output.shape).sin())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(("sizes", "kernel", "rates", "groups"), CASES)
def test_it_equals_the_sum_of_the_options_convolutions_and_so_do_all_gradients(
    sizes: tuple[int, ...],
    kernel: tuple[int, int],
    rates: tuple[int, ...],
    groups: int,
    recompute: bool,
    device: str,
    table_bytes: None,
) -> None:
    tensors = _tensors(sizes, kernel, rates, groups, device)
    found = pixel_adaptive_conv2d(*tensors, rates, groups, recompute=recompute)
    expected = _naive(*tensors, rates, groups)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    for one, other in zip(_gradients(found, tensors), _gradients(expected, tensors), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("sizes", "kernel", "rates", "groups"), CASES)
def test_it_equals_the_reference(
    sizes: tuple[int, ...], kernel: tuple[int, int], rates: tuple[int, ...], groups: int
) -> None:
    tensors = _tensors(sizes, kernel, rates, groups)
    expected = pixel_adaptive_conv2d_reference(*tensors, rates, groups)
    torch.testing.assert_close(pixel_adaptive_conv2d(*tensors, rates, groups), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize(("sizes", "kernel", "rates", "groups"), CASES)
def test_one_hot_probabilities_choose_the_convolution_of_that_dilation_at_each_pixel(
    sizes: tuple[int, ...],
    kernel: tuple[int, int],
    rates: tuple[int, ...],
    groups: int,
    gradient: bool,
    device: str,
    table_bytes: None,
) -> None:
    image, weight, bias, shares = _tensors(sizes, kernel, rates, groups, device)
    with torch.set_grad_enabled(gradient):
        found = pixel_adaptive_conv2d(image, weight, bias, _one_hot(shares), rates, groups)
        options = torch.stack(_convolutions(image, weight, bias, rates, groups), 1)
    chosen = shares.argmax(1)[:, None, None].expand(-1, 1, options.shape[2], -1, -1)
    torch.testing.assert_close(found, options.gather(1, chosen)[:, 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("fill", [1.0, 0.5, 0.0])
def test_probabilities_that_only_look_one_hot_are_used_as_they_are(fill: float) -> None:
    image, weight, bias, shares = _tensors((2, 3, 4, 6, 5), (3, 3), (1, 2, 3), 1)
    shares = _one_hot(shares)
    shares[0, :, 2, 3] = torch.tensor([1.0, fill, -fill])
    shares[1, :, 4, 4] = fill
    with torch.no_grad():
        found = pixel_adaptive_conv2d(image, weight, bias, shares, (1, 2, 3))
    torch.testing.assert_close(found, _naive(image, weight, bias, shares, (1, 2, 3)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("rate", [1, 3])
def test_one_option_is_the_plain_convolution(rate: int) -> None:
    image, weight, bias, _ = _tensors((2, 3, 4, 9, 7), (3, 3), (rate,), 1)
    found = pixel_adaptive_conv2d(image, weight, bias, image.new_ones(2, 1, 9, 7), (rate,))
    expected = conv2d(image, weight, bias, padding=rate, dilation=rate)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2])
def test_gradients_agree_with_finite_differences(groups: int) -> None:
    tensors = _tensors((1, 2, 4, 5, 4), (3, 3), (1, 2), groups)
    assert gradcheck(lambda *t: pixel_adaptive_conv2d(*t, (1, 2), groups), tensors)


def test_only_the_gradients_that_are_asked_for_are_computed() -> None:
    tensors = _tensors((2, 3, 4, 6, 5), (3, 3), (1, 2, 4), 1)
    wanted = _gradients(pixel_adaptive_conv2d(*tensors, (1, 2, 4)), tensors)
    for chosen in (0, 1, 3):
        leaves = [tensor.detach().requires_grad_(index == chosen) for index, tensor in enumerate(tensors)]
        (found,) = _gradients(pixel_adaptive_conv2d(*leaves, (1, 2, 4)), [leaves[chosen]])
        torch.testing.assert_close(found, wanted[chosen], rtol=0, atol=1e-12)


def test_maps_in_any_memory_order_are_read_rightly() -> None:
    image, weight, bias, shares = _tensors((2, 4, 6, 7, 9), (3, 3), (1, 2), 1)
    expected = pixel_adaptive_conv2d(image, weight, bias, shares, (1, 2))
    strided = image.detach().to(memory_format=torch.channels_last).requires_grad_()
    pattern = torch.randn(expected.shape, dtype=torch.float64)
    transposed = shares.transpose(2, 3).contiguous().transpose(2, 3)
    found = pixel_adaptive_conv2d(strided, weight, bias, transposed, [1, 2])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    found.backward(pattern.to(memory_format=torch.channels_last))
    (wanted,) = torch.autograd.grad(expected, [image], pattern)
    assert strided.grad is not None
    torch.testing.assert_close(strided.grad, wanted, rtol=0, atol=1e-12)


def test_training_works_after_an_evaluation_in_inference_mode() -> None:
    tensors = _tensors((1, 2, 3, 17, 13), (3, 3), (1, 5), 1)
    with torch.inference_mode():
        pixel_adaptive_conv2d(*tensors, (1, 5))
    found = pixel_adaptive_conv2d(*tensors, (1, 5))
    for one, other in zip(_gradients(found, tensors), _gradients(_naive(*tensors, (1, 5)), tensors), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


def test_two_runs_on_the_cpu_agree_to_the_last_bit() -> None:
    tensors = [t.detach().float().requires_grad_() for t in _tensors((2, 16, 16, 24, 24), (3, 3), (1, 2, 4), 1)]
    first, second = (pixel_adaptive_conv2d(*tensors, (1, 2, 4)) for _ in range(2))
    assert torch.equal(first, second)
    for one, other in zip(_gradients(first, tensors), _gradients(second, tensors), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_it_is_as_precise_as_the_dtype(dtype: torch.dtype, groups: int, device: str) -> None:
    tensors = _tensors((2, 8, 8, 9, 11), (3, 3), (1, 2, 4), groups, device)
    single = [tensor.detach().float().requires_grad_() for tensor in tensors]
    with torch.autocast(device, dtype):
        found = pixel_adaptive_conv2d(*single, (1, 2, 4), groups)
        assert found.dtype == dtype
    expected = pixel_adaptive_conv2d(*tensors, (1, 2, 4), groups)
    precision = 16 * torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), expected, rtol=precision, atol=precision)
    for one, other, leaf in zip(_gradients(found, single), _gradients(expected, tensors), single, strict=True):
        assert one.dtype == leaf.dtype == torch.float32
        assert (one.double() - other).norm() <= precision * other.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_all_floating_dtypes_keep_their_dtype(dtype: torch.dtype) -> None:
    tensors = _tensors((1, 4, 3, 6, 7), (3, 3), (1, 2), 1)
    expected = pixel_adaptive_conv2d(*tensors, (1, 2))
    found = pixel_adaptive_conv2d(*[tensor.to(dtype) for tensor in tensors[:3]], tensors[3], (1, 2))
    assert found.dtype == dtype
    precision = 16 * torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), expected, rtol=precision, atol=precision)


@pytest.mark.parametrize("groups", [1, 2])
def test_it_compiles_without_a_graph_break(groups: int) -> None:
    tensors = [t.detach().float().requires_grad_() for t in _tensors((2, 4, 6, 7, 11), (3, 3), (1, 2), groups)]
    compiled = torch.compile(pixel_adaptive_conv2d, fullgraph=True, backend="aot_eager")
    found, expected = compiled(*tensors, (1, 2), groups), pixel_adaptive_conv2d(*tensors, (1, 2), groups)
    torch.testing.assert_close(found, expected)
    for one, other in zip(_gradients(found, tensors), _gradients(expected, tensors), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # opcheck's own
def test_the_custom_operator_keeps_the_rules_of_torch() -> None:
    image, weight, _, shares = (t.detach().float().requires_grad_() for t in _tensors(*CASES[0]))
    operator = torch.ops.autorf.pixel_adaptive_conv2d.default
    torch.library.opcheck(operator, (image, weight, shares, [1, 2, 4], True))
    torch.library.opcheck(operator, (image.detach().half(), weight.detach().half(), shares, [1, 2, 4], False))


def test_an_exported_program_holds_common_operators_only() -> None:
    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(4, 6, 3)

        def forward(self, image: Tensor, shares: Tensor) -> Tensor:
            return pixel_adaptive_conv2d(image, self.conv.weight, self.conv.bias, shares, (1, 2))

    layer, image, shares = Layer(), torch.randn(2, 4, 9, 8), torch.rand(2, 2, 9, 8)
    program = torch.export.export(layer, (image, shares))
    assert "autorf" not in str(program.graph)
    torch.testing.assert_close(program.module()(image, shares), layer(image, shares), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hard", [False, True])
def test_what_is_kept_from_an_inference_serves_training(hard: bool) -> None:
    # Sides of no other test, and a thread of its own: nothing is kept yet.
    def infer_then_train() -> None:
        sides = (10 + hard, 17)
        input, weight = torch.randn(2, 4, *sides), torch.randn(4, 4, 3, 3)
        shares = torch.rand(2, 2, *sides)
        if hard:
            shares = one_hot(shares.argmax(1), 2).movedim(-1, 1).float()
        with torch.inference_mode():
            expected = pixel_adaptive_conv2d(input, weight, None, shares, (1, 2)).clone()
        output = pixel_adaptive_conv2d(input, weight.requires_grad_(), None, shares.requires_grad_(), (1, 2))
        output.sum().backward()
        torch.testing.assert_close(output.detach(), expected)

    with ThreadPoolExecutor(1) as fresh:
        fresh.submit(infer_then_train).result()


MAP, KERNEL, SHARES = torch.zeros(1, 4, 6, 5), torch.zeros(4, 4, 3, 3), torch.ones(1, 2, 6, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((MAP[0], KERNEL, None, SHARES, (1, 2)), "input must be floating-point"),
        ((MAP, KERNEL[..., :2], None, SHARES, (1, 2)), "odd"),
        ((MAP, KERNEL[:, :3], None, SHARES, (1, 2)), "do not fit"),
        ((MAP, KERNEL, torch.zeros(3), SHARES, (1, 2)), "bias must have shape"),
        ((MAP, KERNEL, None, SHARES, (1, 2, 4)), r"probabilities must have shape \(1, 3, 6, 5\)"),
        ((MAP, KERNEL, None, SHARES[..., :4], (1, 2)), "probabilities must have shape"),
        ((MAP, KERNEL, None, SHARES.long(), (1, 2)), "probabilities must be floating-point"),
        ((MAP, KERNEL.double(), None, SHARES, (1, 2)), "weight is torch.float64 but input is torch.float32"),
        ((MAP, KERNEL.to("meta"), None, SHARES, (1, 2)), "weight is on meta"),
        ((MAP, KERNEL, None, SHARES, (2, 1)), "increasing positive integers"),
        ((MAP, KERNEL, None, SHARES, (0, 1)), "increasing positive integers"),
        ((MAP, KERNEL, None, SHARES[:, :0], ()), "increasing positive integers"),
        ((MAP, KERNEL, None, SHARES, torch.tensor([1, 2])), "increasing positive integers"),
        ((MAP, KERNEL, None, SHARES, 2), "increasing positive integers"),
        ((MAP, KERNEL, None, SHARES, (1, 2**31)), "up to 65536, got"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        pixel_adaptive_conv2d(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("groups", [1, 2])
def test_rates_may_be_numpy_integers(groups: int) -> None:
    image, weight = torch.randn(MAP.shape), torch.randn(4, 4 // groups, 3, 3)
    wanted = pixel_adaptive_conv2d(image, weight, None, SHARES, (1, 2), groups)
    for rates in (np.array([1, 2]), [np.int64(1), np.int64(2)], range(1, 3)):
        torch.testing.assert_close(pixel_adaptive_conv2d(image, weight, None, SHARES, rates, groups), wanted)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_batch_of_no_images_has_no_output_and_no_gradient(groups: int) -> None:
    image, shares = torch.zeros(0, 4, 6, 5, requires_grad=True), torch.zeros(0, 2, 6, 5, requires_grad=True)
    weight = torch.randn(4, 4 // groups, 3, 3, requires_grad=True)
    output = pixel_adaptive_conv2d(image, weight, None, shares, [1, 2], groups)
    assert output.shape == (0, 4, 6, 5)
    output.sum().backward()
    assert weight.grad is not None
    assert not weight.grad.any()
