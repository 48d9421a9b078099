"""What every method promises of any model it adapts, as checks that a third party's method can run too.

With pytest, one test for each check::

    case = Case(make_model, MyMethod(targets=...), example_input)


    @pytest.mark.parametrize("check", CHECKS)
    def test_my_method(check):
        CHECKS[check](case)
"""

import copy
import io
import multiprocessing
import pickle
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from autorf.errors import InputError
from autorf.methods.base import Method
from autorf.surgery import adapt, advance, describe, freeze, load, parameter_groups, save
from autorf.surgery.adaptation import adaptive_modules
from autorf.testing.case import Case, expect, expect_close, expect_equal, loss, own_parameters, seeded

__all__ = ["CHECKS", "Case", "check_method", "check_new_process"]

STEPS = 10
"""Of the training that gradients are followed through."""


def check_identity(case: Case) -> None:
    """A method that learns leaves the output as it was, bit for bit, in evaluation and in training mode."""
    if not case.learns:
        return
    for training in (False, True):
        before, after = case.original().train(training), case.adapted().train(training)
        expect_equal(case.output(after), case.output(before), f"the output at the start, training={training}")


def check_original_state(case: Case) -> None:
    """Every key of the original state keeps its name and value, and none of its parameters is copied."""
    model = case.original()
    before, identities = copy.deepcopy(model.state_dict()), {name: id(p) for name, p in model.named_parameters()}
    after = adapt(model, case.method).state_dict()
    expect(list(before) == [key for key in after if key in before], "a key of the original state is gone")
    for key, value in before.items():
        expect_equal(after[key], value, f"the state of {key}")
    parameters = dict(model.named_parameters())
    for name, identity in identities.items():
        expect(name in parameters and id(parameters[name]) == identity, f"the parameter {name} was exchanged")


def check_original_checkpoint(case: Case) -> None:
    """A checkpoint of the original model loads strictly before and after ``adapt``, to the same output."""
    state = case.original().state_dict()
    checkpoint = {key: value * 0.9 if value.is_floating_point() else value.clone() for key, value in state.items()}
    before, after = case.original(), case.adapted()
    before.load_state_dict(checkpoint, strict=True)
    after.load_state_dict(checkpoint, strict=True)
    expect_equal(case.output(adapt(before, case.method)), case.output(after), "the output with the checkpoint")


def check_gradients(case: Case) -> None:
    """Gradients reach every new parameter at some time of the training, and every original one as they did before."""
    original = case.original().train()
    with seeded():
        loss(original(case.example_input)).backward()
    reached = {name for name, p in original.named_parameters() if p.grad is not None and p.grad.any()}
    model = case.adapted().train()
    own = {id(parameter) for parameter in own_parameters(model)}
    expected = reached | {name for name, p in model.named_parameters() if id(p) in own}
    learning: set[str] = set()
    # Steps are taken because branches that start at zero pass no gradient before.
    optimizer = torch.optim.SGD(parameter_groups(model, lr=1e-3), lr=1e-3)
    with seeded():
        for step in range(STEPS):
            advance(model, step, STEPS)
            optimizer.zero_grad()
            loss(model(case.example_input)).backward()
            named = model.named_parameters()
            learning |= {name for name, p in named if p.grad is not None and _is_reached(name, p.grad)}
            if learning >= expected:
                return
            optimizer.step()
    expect(False, f"no gradient reaches {', '.join(sorted(expected - learning))}")


def check_parameter_groups(case: Case) -> None:
    """Every parameter is in one optimizer group, the method's own without weight decay."""
    model = case.adapted()
    groups = parameter_groups(model, lr=0.1, weight_decay=0.5)
    listed = [id(p) for group in groups for p in group["params"]]
    expect(sorted(listed) == sorted({id(p) for p in model.parameters()}), "a parameter is in no group or in two")
    own = {id(parameter) for parameter in own_parameters(model)}
    for group in groups:
        decayed = group["weight_decay"] > 0
        expect(not (decayed and own & {id(p) for p in group["params"]}), "a method's parameter has weight decay")


def check_state_dict(case: Case) -> None:
    """The state of a model in mid-training, put into a newly adapted one, gives the same output."""
    model, other = case.trained(), case.adapted()
    other.load_state_dict(model.state_dict(), strict=True)
    expect_equal(case.output(other), case.output(model), "the output with the loaded state")


def check_save_and_load(case: Case) -> None:
    """``save`` and ``load`` give the same output and description, adapted, trained and frozen."""
    frozen = case.trained(1.0)
    freeze(frozen)
    for model in (case.adapted(), case.trained(), frozen):
        with tempfile.TemporaryDirectory() as folder:
            loaded = load(case.original, save(model, folder))
        expect_equal(case.output(loaded), case.output(model), "the output of the loaded model")
        expect(describe(loaded) == describe(model), f"loaded as {describe(loaded)}, saved as {describe(model)}")


def check_new_process(case: Case) -> None:
    """A model that one process saves gives the same output in another, which only gets the folder."""
    model = case.trained()
    with tempfile.TemporaryDirectory() as folder:
        save(model, folder)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            received = pool.apply(
                _output_of_saved, (case.make_model, folder, case.example_input.numpy(), torch.get_num_threads())
            )
    for value, expected in zip(received, tree_leaves(case.output(model)), strict=True):
        expect_equal(torch.from_numpy(value), expected, "the output in the new process")


def check_freeze(case: Case) -> None:
    """A frozen model gives the same output; what it could not fold it names."""
    model = case.trained(1.0)
    before, adaptive = case.output(model), adaptive_modules(model)
    frozen = freeze(model, case.example_input)
    expect_close(case.output(model), before, "the output of the frozen model")
    expect({*frozen.folded, *frozen.left} == set(adaptive), "an adaptive module is neither folded nor left")
    expect(set(adaptive_modules(model)) == set(frozen.left), "an adaptive module was not replaced")


def check_export(case: Case) -> None:
    """A wholly frozen model can be exported, to the same output."""
    model = case.trained(1.0)
    if freeze(model).left:
        return
    exported = torch.export.export(model, (case.example_input,)).module()
    with torch.no_grad():
        expect_close(exported(case.example_input), case.output(model), "the exported output")


def check_deepcopy(case: Case) -> None:
    """A deep copy gives the same output and shares nothing with its original."""
    _check_copy(case, copy.deepcopy)


def check_pickle(case: Case) -> None:
    """A pickled model, such as a Ray worker receives, gives the same output."""
    _check_copy(case, lambda model: pickle.loads(pickle.dumps(model)))


def check_torch_save(case: Case) -> None:
    """``torch.save`` of the state can be read by ``torch.load`` with ``weights_only=True``."""
    model, other, file = case.trained(), case.adapted(), io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    expect_equal(case.output(other), case.output(model), "the output with the loaded state")


def check_double(case: Case) -> None:
    """A model moved to float64 computes in float64, and the same up to rounding."""
    model = case.trained()
    before = case.output(model)
    model.to(torch.float64)
    with torch.no_grad():
        after = model(case.example_input.double())
    for value, other in zip(tree_leaves(after), tree_leaves(before), strict=True):
        expect(value.dtype == torch.float64, f"the output has type {value.dtype}")
        expect_close(value.float(), other, "the output in float64", rtol=1e-2)


def check_autocast(case: Case) -> None:
    """Under bfloat16 autocast the output has the type the original model's has, and finite gradients flow."""
    model, original = case.trained(), case.original()
    with torch.autocast("cpu", torch.bfloat16):
        output, before = model(case.example_input), original(case.example_input)
    for value, other in zip(tree_leaves(output), tree_leaves(before), strict=True):
        expect(
            value.dtype == other.dtype,
            f"the output has type {value.dtype} under autocast, the original's {other.dtype}",
        )
    loss(output).backward()
    for name, parameter in model.named_parameters():
        finite = parameter.grad is None or bool(parameter.grad.isfinite().all())
        expect(finite, f"the gradient of {name} is not finite under autocast")


def check_channels_last(case: Case) -> None:
    """In evaluation the model takes input whose channels are innermost in memory."""
    model = case.trained()
    before = case.output(model)
    with torch.no_grad():
        after = model(case.example_input.to(memory_format=torch.channels_last))
    expect_close(after, before, "the output on channels-last input")


def check_compile(case: Case) -> None:
    """``torch.compile`` gives the same output (graph breaks allowed)."""
    model = case.trained()
    torch.compiler.reset()
    with torch.no_grad():
        expect_close(
            torch.compile(model, backend="eager")(case.example_input), case.output(model), "the compiled output"
        )
    torch.compiler.reset()


def check_refused_twice(case: Case) -> None:
    """The same targets cannot be adapted twice, and a refusal leaves the model whole."""
    model = case.adapted()
    before, modules = copy.deepcopy(model.state_dict()), [id(module) for module in model.modules()]
    hooks = _n_hooks(model)
    try:
        adapt(model, case.method)
    except InputError:
        pass
    else:
        expect(False, "the same targets were adapted twice")
    expect([id(module) for module in model.modules()] == modules, "a refused adapt exchanged modules")
    expect(_n_hooks(model) == hooks, "a refused adapt left hooks behind")
    for key, value in model.state_dict().items():
        expect_equal(value, before[key], f"the state of {key} after a refused adapt")


CHECKS: dict[str, Callable[[Case], None]] = {
    "identity": check_identity,
    "original state": check_original_state,
    "original checkpoint": check_original_checkpoint,
    "gradients": check_gradients,
    "parameter groups": check_parameter_groups,
    "state_dict": check_state_dict,
    "save and load": check_save_and_load,
    "freeze": check_freeze,
    "export": check_export,
    "deepcopy": check_deepcopy,
    "pickle": check_pickle,
    "torch.save": check_torch_save,
    "double": check_double,
    "autocast": check_autocast,
    "channels_last": check_channels_last,
    "compile": check_compile,
    "refused twice": check_refused_twice,
}
"""Every check but :func:`check_new_process`, which starts a process and takes seconds."""


def check_method(make_model: Callable[[], nn.Module], method: Method, example_input: Tensor) -> None:
    """Run every check of ``CHECKS``; arguments as in :class:`Case`.

    Raises:
        AssertionError: naming the first broken promise.
    """
    case = Case(make_model, method, example_input)
    for check in CHECKS.values():
        check(case)


def _check_copy(case: Case, copied: Callable[[nn.Module], nn.Module]) -> None:
    model = case.trained()
    twin = copied(model)
    before = case.output(model)
    expect_equal(case.output(twin), before, "the output of the copy")
    expect(describe(twin) == describe(model), "the copy describes itself otherwise")
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(0.5)
    advance(twin, STEPS, STEPS)
    expect_equal(case.output(model), before, "the output of the original after its copy was changed")


def _output_of_saved(make_model: Callable[[], nn.Module], folder: str, input: Any, n_threads: int) -> list[Any]:
    torch.set_num_threads(n_threads)  # the order of a sum, and with it the last bit, depends on it
    model = load(make_model, folder).eval()
    with torch.no_grad():
        return [value.numpy() for value in tree_leaves(model(torch.from_numpy(input)))]


def _is_reached(name: str, gradient: Tensor) -> bool:
    expect(bool(gradient.isfinite().all()), f"the gradient of {name} is not finite")
    return bool(gradient.any())


def _n_hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())
