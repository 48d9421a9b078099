import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn.functional import conv2d
from torchvision.ops import deform_conv2d

from autorf.errors import InputError
from autorf.ops import _tap_products, scale_adaptive_conv2d
from autorf.ops.reference import scale_adaptive_conv2d_reference
from autorf.ops.scale_adaptive import _sampled_conv2d

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
LOW, HIGH = 0.25, 4.0

# (N, C_in, C_out, H, W), kernel, dilation, groups
CASES = [
    ((2, 4, 6, 7, 11), (3, 3), 1, 1),
    ((1, 6, 6, 13, 5), (3, 5), 2, 3),
    ((3, 8, 8, 9, 9), (3, 3), 3, 8),
    ((2, 4, 4, 8, 15), (5, 3), 2, 2),
    ((1, 3, 5, 1, 1), (3, 3), 1, 1),
    ((1, 4, 2, 6, 1), (1, 3), 4, 1),
    ((2, 3, 4, 5, 6), (1, 1), 1, 1),
]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=[None, 2048, 256])
def table_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The CPU path cuts the work into blocks: all at once, images apart, and channels apart as well."""
    if request.param is not None:
        monkeypatch.setattr(_tap_products, "_TABLE_BYTES", request.param)
    monkeypatch.setattr(_tap_products, "_thread", threading.local())
    return


def _tensors(sizes: tuple[int, ...], kernel: tuple[int, int], groups: int, device: str = "cpu") -> list[Tensor]:
    n, c_in, c_out, height, width = sizes
    shapes = [(n, c_in, height, width), (c_out, c_in // groups, *kernel), (c_out,)]
    tensors = [torch.randn(shape, dtype=torch.float64, device=device, requires_grad=True) for shape in shapes]
    return [*tensors, _scale(n, height, width).to(device).requires_grad_()]


def _scale(n: int, height: int, width: int) -> Tensor:
    """Anything between the bounds, and some pixels exactly at them."""
    scale = LOW + (HIGH - LOW) * torch.rand(n, 1, height, width, dtype=torch.float64)
    scale[torch.rand(scale.shape) < 0.1] = LOW
    scale[torch.rand(scale.shape) < 0.1] = HIGH
    return scale


def _deformable(
    image: Tensor, weight: Tensor, bias: Tensor | None, scale: Tensor, dilation: int = 1, **_: Any
) -> Tensor:
    """Deformable convolution with offsets (s - 1) d k."""
    sides = weight.shape[2:]
    rows, columns = (torch.arange(side, device=image.device) - side // 2 for side in sides)
    taps = torch.stack([rows[:, None].expand(*sides), columns.expand(*sides)], -1).reshape(1, -1, 1, 1)
    padding = (dilation * (sides[0] // 2), dilation * (sides[1] // 2))
    return deform_conv2d(image, (scale - 1) * dilation * taps, weight, bias, padding=padding, dilation=dilation)


def _same_conv2d(image: Tensor, weight: Tensor, bias: Tensor | None, dilation: int, groups: int) -> Tensor:
    padding = (dilation * (weight.shape[2] // 2), dilation * (weight.shape[3] // 2))
    return conv2d(image, weight, bias, padding=padding, dilation=dilation, groups=groups)


def _gradients(output: Tensor, tensors: list[Tensor]) -> tuple[Tensor, ...]:
    pattern = torch.linspace(-1, 2, output.numel(), dtype=output.dtype, device=output.device)
    return torch.autograd.grad(output, tensors, pattern.view(output.shape).sin())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(("sizes", "kernel", "dilation", "groups"), CASES)
def test_it_equals_deformable_convolution_and_so_do_all_gradients(
    sizes: tuple[int, ...],
    kernel: tuple[int, int],
    dilation: int,
    groups: int,
    recompute: bool,
    device: str,
    table_bytes: None,
) -> None:
    tensors = _tensors(sizes, kernel, groups, device)
    found = scale_adaptive_conv2d(*tensors, dilation, groups, recompute=recompute)
    expected = _deformable(*tensors, dilation)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    for one, other in zip(_gradients(found, tensors), _gradients(expected, tensors), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(("sizes", "kernel", "dilation", "groups"), CASES)
def test_common_operators_alone_give_the_same(
    sizes: tuple[int, ...], kernel: tuple[int, int], dilation: int, groups: int, recompute: bool, device: str
) -> None:
    image, weight, _, scale = _tensors(sizes, kernel, groups, device)
    # Rounding of the coordinates moves a tap that falls on a pixel to either side of its kink.
    scale = (scale.detach() + 1e-3).requires_grad_()
    strided = scale.transpose(2, 3).contiguous().transpose(2, 3)
    found = _sampled_conv2d(image, weight, strided, dilation, groups, recompute)
    expected = _deformable(image, weight, None, scale, dilation)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    tensors = [image, weight, scale]
    for one, other in zip(_gradients(found, tensors), _gradients(expected, tensors), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("sizes", "kernel", "dilation", "groups"), CASES[:4])
def test_it_equals_the_reference(sizes: tuple[int, ...], kernel: tuple[int, int], dilation: int, groups: int) -> None:
    tensors = _tensors(sizes, kernel, groups)
    found = scale_adaptive_conv2d(*tensors, dilation, groups)
    expected = scale_adaptive_conv2d_reference(*tensors, dilation, groups)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    for one, other in zip(_gradients(found, tensors), _gradients(expected, tensors), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize(("sizes", "kernel", "dilation", "groups"), CASES)
def test_an_integer_scale_everywhere_is_a_dilated_convolution(
    sizes: tuple[int, ...], kernel: tuple[int, int], dilation: int, groups: int, scale: int, device: str
) -> None:
    image, weight, bias, varied = _tensors(sizes, kernel, groups, device)
    found = scale_adaptive_conv2d(image, weight, bias, torch.full_like(varied, scale), dilation, groups)
    expected = _same_conv2d(image, weight, bias, scale * dilation, groups)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_gradients_agree_with_finite_differences() -> None:
    tensors = _tensors((1, 2, 4, 5, 4), (3, 3), 2)
    tensors[3] = (tensors[3].detach() * 0.9 + 0.013).requires_grad_()
    assert gradcheck(lambda *t: scale_adaptive_conv2d(*t, 1, 2), tensors)


def test_only_the_gradients_that_are_asked_for_are_computed() -> None:
    tensors = _tensors((2, 3, 4, 6, 5), (3, 3), 1)
    wanted = _gradients(scale_adaptive_conv2d(*tensors), tensors)
    for chosen in (0, 1, 3):
        leaves = [tensor.detach().requires_grad_(index == chosen) for index, tensor in enumerate(tensors)]
        (found,) = _gradients(scale_adaptive_conv2d(*leaves), [leaves[chosen]])
        torch.testing.assert_close(found, wanted[chosen], rtol=0, atol=1e-12)


def test_maps_in_any_memory_order_are_read_rightly() -> None:
    image, weight, bias, scale = _tensors((2, 4, 6, 7, 9), (3, 3), 1)
    expected = scale_adaptive_conv2d(image, weight, bias, scale)
    strided = image.detach().to(memory_format=torch.channels_last).requires_grad_()
    pattern = torch.randn(expected.shape, dtype=torch.float64)
    found = scale_adaptive_conv2d(strided, weight, bias, scale.transpose(2, 3).contiguous().transpose(2, 3))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    found.backward(pattern.to(memory_format=torch.channels_last))
    (wanted,) = torch.autograd.grad(expected, [image], pattern)
    assert strided.grad is not None
    torch.testing.assert_close(strided.grad, wanted, rtol=0, atol=1e-12)


def test_two_runs_on_the_cpu_agree_to_the_last_bit() -> None:
    tensors = [tensor.detach().float().requires_grad_() for tensor in _tensors((2, 16, 16, 24, 24), (3, 3), 1)]
    first, second = (scale_adaptive_conv2d(*tensors) for _ in range(2))
    assert torch.equal(first, second)
    for one, other in zip(_gradients(first, tensors), _gradients(second, tensors), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_it_is_as_precise_as_the_dtype(dtype: torch.dtype, device: str) -> None:
    tensors = _tensors((2, 8, 8, 9, 11), (3, 3), 1, device)
    single = [tensor.detach().float().requires_grad_() for tensor in tensors]
    with torch.autocast(device, dtype):
        found = scale_adaptive_conv2d(*single)
        assert found.dtype == dtype
    expected = scale_adaptive_conv2d(*tensors)
    precision = 16 * torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), expected, rtol=precision, atol=precision)
    for one, other, leaf in zip(_gradients(found, single), _gradients(expected, tensors), single, strict=True):
        assert one.dtype == leaf.dtype == torch.float32
        assert (one.double() - other).norm() <= precision * other.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_all_floating_dtypes_keep_their_dtype(dtype: torch.dtype) -> None:
    tensors = _tensors((1, 4, 3, 6, 7), (3, 3), 1)
    expected = scale_adaptive_conv2d(*tensors)
    found = scale_adaptive_conv2d(*[tensor.to(dtype) for tensor in tensors[:3]], tensors[3])
    assert found.dtype == dtype
    precision = 16 * torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), expected, rtol=precision, atol=precision)


def test_a_far_or_undefined_scale_reads_nothing_or_nan_and_never_crashes() -> None:
    image, weight = torch.ones(1, 1, 5, 5), torch.ones(1, 1, 3, 3)
    for scale in (1e9, 3e38):
        found = scale_adaptive_conv2d(image, weight, None, torch.full((1, 1, 5, 5), scale))
        assert torch.equal(found, torch.ones(1, 1, 5, 5))
    assert scale_adaptive_conv2d(image, weight, None, torch.full((1, 1, 5, 5), float("nan"))).isnan().all()


def test_it_compiles_without_a_graph_break() -> None:
    tensors = [tensor.detach().float().requires_grad_() for tensor in _tensors((2, 4, 6, 7, 11), (3, 3), 1)]
    compiled = torch.compile(scale_adaptive_conv2d, fullgraph=True, backend="aot_eager")
    found, expected = compiled(*tensors), scale_adaptive_conv2d(*tensors)
    torch.testing.assert_close(found, expected)
    for one, other in zip(_gradients(found, tensors), _gradients(expected, tensors), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # opcheck's own
def test_the_custom_operator_keeps_the_rules_of_torch() -> None:
    image, weight, _, scale = (tensor.detach().float().requires_grad_() for tensor in _tensors(*CASES[0][:2], 1))
    torch.library.opcheck(torch.ops.autorf.scale_adaptive_conv2d.default, (image, weight, scale, 1, 1, True))
    torch.library.opcheck(
        torch.ops.autorf.scale_adaptive_conv2d.default, (image.half(), weight.half(), scale, 2, 1, False)
    )


def test_an_exported_program_holds_common_operators_only() -> None:
    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(4, 6, 3)

        def forward(self, image: Tensor, scale: Tensor) -> Tensor:
            return scale_adaptive_conv2d(image, self.conv.weight, self.conv.bias, scale, 2)

    layer, image, scale = Layer(), torch.randn(2, 4, 9, 8), 0.5 + torch.rand(2, 1, 9, 8)
    program = torch.export.export(layer, (image, scale))
    assert "autorf" not in str(program.graph)
    torch.testing.assert_close(program.module()(image, scale), layer(image, scale), rtol=1e-4, atol=1e-5)


MAP, KERNEL, SCALE = torch.zeros(1, 4, 6, 5), torch.zeros(4, 4, 3, 3), torch.ones(1, 1, 6, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((MAP[0], KERNEL, None, SCALE), "input must be floating-point"),
        ((MAP.long(), KERNEL, None, SCALE), "input must be floating-point"),
        ((MAP, KERNEL[..., :2], None, SCALE), "odd"),
        ((MAP, KERNEL[:, :3], None, SCALE), "do not fit"),
        ((MAP, KERNEL[:3, :2], None, SCALE, 1, 2), "do not fit"),
        ((MAP, KERNEL, None, SCALE, 1, 0), "do not fit"),
        ((MAP, KERNEL, torch.zeros(3), SCALE), "bias must have shape"),
        ((MAP, KERNEL, None, SCALE[..., :4]), r"scale must have shape \(1, 1, 6, 5\)"),
        ((MAP, KERNEL, None, SCALE.expand(1, 4, 6, 5)), "scale must have shape"),
        ((MAP, KERNEL, None, SCALE.long()), "scale must be floating-point"),
        ((MAP, KERNEL.double(), None, SCALE), "weight is torch.float64 but input is torch.float32"),
        ((MAP, KERNEL, torch.zeros(4, dtype=torch.float64), SCALE), "bias is torch.float64"),
        ((MAP, KERNEL, None, SCALE.to("meta")), "scale is on meta"),
        ((MAP, KERNEL, None, SCALE, 0), "dilation must be a positive integer"),
        ((MAP, KERNEL, None, SCALE, 1.5), "dilation must be a positive integer"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        scale_adaptive_conv2d(*arguments)
    assert "\n" not in str(caught.value)


def test_an_empty_batch_has_an_empty_output_and_gradient() -> None:
    empty = torch.zeros(0, 4, 5, 6, requires_grad=True)
    output = scale_adaptive_conv2d(empty, torch.randn(2, 4, 3, 3), None, torch.ones(0, 1, 5, 6))
    output.sum().backward()
    assert output.shape == (0, 2, 5, 6)
    assert empty.grad is not None
    assert empty.grad.shape == empty.shape
