"""The behaviours of the matrix that take one process: each a function of a method's name.

It returns a note or nothing where the flow works, raises ``SilentError`` where its result is wrong without a word, and
lets every other error through: an ``InputError`` is a refusal of ours, anything else ends inside torch.
"""

import copy
import io
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.utils.checkpoint import checkpoint

import autorf
from autorf.surgery import search_states
from tests.matrix.loop import (
    FOLDS,
    IMAGE,
    LATE,
    METHODS,
    MIDWAY,
    SEARCHING,
    STEPS,
    Loop,
    Network,
    adamw,
    adapted,
    batch,
    network,
    output,
    plain,
    trained,
)
from tests.matrix.outcome import NotConcernedError, SilentError, expect, heard, refusal

Behaviour = Callable[[str], str | None]


def same_trace(trace: list[Any], name: str, what: str = "") -> None:
    """Expect the losses and learned values of the plain loop, bit for bit."""
    for step, (got, due) in enumerate(zip(trace, plain(name).trace, strict=True)):
        expect(
            got == due, f"{what}step {step}: loss {got[0]:.6f} and {got[1]}, by the plain loop {due[0]:.6f}, {due[1]}"
        )


def close_trace(trace: list[Any], name: str, tolerance: float, what: str = "") -> None:
    """Expect the losses and learned values of the plain loop up to rounding."""
    for step, (got, due) in enumerate(zip(trace, plain(name).trace, strict=False)):
        near = abs(got[0] - due[0]) <= tolerance and all(abs(got[1][key] - due[1][key]) <= tolerance for key in due[1])
        expect(near, f"{what}step {step}: {_words(got)}, by the plain loop {_words(due)}")


def _words(point: tuple[float, dict[str, float]]) -> str:
    return f"loss {point[0]:.6f}, " + ", ".join(f"{key} {value:.6g}" for key, value in point[1].items())


def settled(model: nn.Module, name: str) -> None:
    """Expect that no search goes on, and that what was learned is a number."""
    expect(not search_states(model), "the search goes on after the last step")
    expect(all(value == value for value in autorf.learned_values(model).values()), "a learned value is not a number")


def strict_load(name: str) -> str | None:
    """States of before ``adapt``, of the search, of the fixed phase and of after ``freeze``, each in every model."""
    if name == "dilation":
        raise NotConcernedError("its state is that of a network built with that dilation")
    frozen = trained(name).model
    autorf.freeze(frozen)
    sources = {
        "before adapt": network(),
        "searching": trained(name, MIDWAY).model,
        "fixed": trained(name).model,
        "frozen": frozen,
    }
    models: dict[str, Callable[[], nn.Module]] = {
        "never adapted": network,
        "adapted": lambda: adapted(name),
        "frozen": lambda: copy.deepcopy(frozen),
    }
    belongs = {("before adapt", "never adapted"), ("before adapt", "adapted"), ("searching", "adapted")}
    belongs |= {("fixed", "adapted"), ("frozen", "frozen")}
    if name not in FOLDS:
        belongs |= {("frozen", "adapted"), ("searching", "frozen"), ("fixed", "frozen"), ("before adapt", "frozen")}
    for source, model in sources.items():
        for target, build in models.items():
            _load(source, model, target, build(), fits=(source, target) in belongs)
    return None


def _load(source: str, model: nn.Module, target: str, other: nn.Module, *, fits: bool) -> None:
    if not fits:
        try:
            refusal(lambda: other.load_state_dict(model.state_dict(), strict=True))
        except SilentError:
            raise SilentError(f"a state {source} loads into a model {target}") from None
        return
    other.load_state_dict(model.state_dict(), strict=True)
    if source != "before adapt":
        expect(torch.equal(output(other), output(model)), f"a state {source} gives another output in one {target}")


def _resumed(name: str, at: int) -> None:
    first, file = trained(name, at), io.BytesIO()
    assert first.optimizer is not None
    torch.save({"model": first.model.state_dict(), "optimizer": first.optimizer.state_dict()}, file)
    file.seek(0)
    saved, second = torch.load(file, weights_only=True), Loop(adapted(name))
    assert second.optimizer is not None
    second.model.load_state_dict(saved["model"])
    second.optimizer.load_state_dict(saved["optimizer"])
    second.run(range(at, STEPS))
    same_trace([*first.trace, *second.trace], name)


def resume_searching(name: str) -> str | None:
    """Stopped while searching and resumed in a new process' model."""
    _resumed(name, MIDWAY)
    return None


def resume_fixed(name: str) -> str | None:
    """Stopped after the search and resumed."""
    _resumed(name, LATE)
    return None


def _averaged(name: str, copied: nn.Module, update: Callable[[], object], loop: Loop) -> None:
    loop.after_step = update
    loop.run()
    same_trace(loop.trace, name)
    update()
    settled(copied, name)
    expect(bool(output(copied).isfinite().all()), "the average gives no numbers")
    if "dilation" in (values := autorf.learned_values(loop.model)) and name not in ("pixel-adaptive",):
        expect(
            autorf.learned_values(copied) == values, f"the average has {autorf.learned_values(copied)}, not {values}"
        )
    restored = adapted(name)
    restored.load_state_dict(copied.state_dict())
    expect(torch.equal(output(restored), output(copied)), "the average's state gives another output")


def ema_of_torch(name: str) -> str | None:
    """``AveragedModel``, with and without its buffers."""
    for buffers in (False, True):
        loop = Loop(adapted(name))
        averaged = AveragedModel(loop.model, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=buffers)
        _averaged(name, averaged.module, partial(averaged.update_parameters, loop.model), loop)
    return None


def ema_of_timm(name: str) -> str | None:
    """``ModelEmaV3``."""
    from timm.utils import ModelEmaV3

    loop = Loop(adapted(name))
    averaged = ModelEmaV3(loop.model, decay=0.5)
    _averaged(name, averaged.module, partial(averaged.update, loop.model), loop)
    return None


def ema_of_floats(name: str) -> str | None:
    """An average of the floating-point entries of the state, as YOLO trainers keep it."""
    loop = Loop(adapted(name))
    averaged = copy.deepcopy(loop.model)

    def update() -> None:
        for value, newest in zip(averaged.state_dict().values(), loop.model.state_dict().values(), strict=True):
            if value.dtype.is_floating_point:
                value.mul_(0.5).add_(newest, alpha=0.5)

    _averaged(name, averaged, update, loop)
    return None


def swa(name: str) -> str | None:
    """The plain average of the last steps, and its batch normalisation afterwards."""
    loop = Loop(adapted(name))
    averaged = AveragedModel(loop.model)
    loop.run(range(LATE))
    loop.after_step = lambda: averaged.update_parameters(loop.model)
    loop.run(range(LATE, STEPS))
    averaged.update_parameters(loop.model)
    update_bn([batch(0)[0]], averaged)
    settled(averaged.module, name)
    learned, copied = autorf.learned_values(loop.model), autorf.learned_values(averaged.module)
    if name.startswith("learned"):
        expect(learned == copied, f"the average has {copied}, not {learned}")
    return None


def _continued(name: str, copied: Callable[[Loop], nn.Module]) -> None:
    first = trained(name, MIDWAY)
    assert first.optimizer is not None
    model = copied(first)
    second = Loop(model)
    assert second.optimizer is not None
    second.optimizer.load_state_dict(copy.deepcopy(first.optimizer.state_dict()))
    second.run(range(MIDWAY, STEPS))
    same_trace([*first.trace, *second.trace], name, "the copy, ")
    first.run(range(MIDWAY, STEPS))
    same_trace(first.trace, name, "the original, ")


def deepcopy(name: str) -> str | None:
    """A copy in the middle of the search goes on as the original does, and neither sees the other."""
    _continued(name, lambda loop: copy.deepcopy(loop.model))
    return None


def pickled(name: str) -> str | None:
    """A pickled model goes on too."""
    _continued(name, lambda loop: pickle.loads(pickle.dumps(loop.model)))
    return None


def autocast(name: str) -> str | None:
    """bfloat16 autocast around the forward pass."""
    loop = Loop(adapted(name), around=partial(torch.autocast, "cpu", torch.bfloat16)).run()
    settled(loop.model, name)
    close_trace(loop.trace[:1], name, 0.05)
    return None


def whole_bfloat16(name: str) -> str | None:
    """The model itself in bfloat16."""
    model = adapted(name).bfloat16()
    loop = Loop(model, convert=lambda images: images.bfloat16()).run()
    settled(model, name)
    close_trace(loop.trace[:1], name, 0.05)
    return None


def channels_last(name: str) -> str | None:
    """Model and images with channels innermost in memory."""
    model = adapted(name).to(memory_format=torch.channels_last)
    loop = Loop(model, convert=lambda images: images.contiguous(memory_format=torch.channels_last)).run()
    close_trace(loop.trace, name, 0.02)
    settled(model, name)
    return None


def accumulation(name: str) -> str | None:
    """Gradients of two parts of a batch add up."""
    loop = Loop(adapted(name), parts=2).run()
    settled(loop.model, name)
    # What a layer notes of its map is of the last part alone: other pixels, with a choice of whole dilations each.
    close_trace(loop.trace[:1], name, 0.2 if name == "pixel-adaptive" else 0.05)
    return None


def clipping(name: str) -> str | None:
    """The gradient's norm is clipped."""
    model = adapted(name)
    loop = Loop(model, before_step=lambda: nn.utils.clip_grad_norm_(model.parameters(), 1e6)).run()
    same_trace(loop.trace, name)
    return None


def checkpoint_one_block(name: str) -> str | None:
    """Activation checkpointing of one block that holds all that is adapted."""
    for reentrant in (False, True):
        model = adapted(name)

        def forward(images: Tensor, model: Network = model, reentrant: bool = reentrant) -> Tensor:
            scores: Tensor = model[3](
                checkpoint(nn.Sequential(model[1], model[2]), model[0](images), use_reentrant=reentrant)
            )
            return scores

        loop = Loop(model, forward=forward).run()
        if reentrant:
            # The forward pass runs without gradients then, whose products torch adds up in another order.
            close_trace(loop.trace, name, 1e-4, "use_reentrant=True, ")
        else:
            same_trace(loop.trace, name, "use_reentrant=False, ")
    return None


def checkpoint_across_blocks(name: str) -> str | None:
    """Activation checkpointing of each block on its own."""
    for reentrant in (False, True):
        model = adapted(name)

        def forward(images: Tensor, model: Network = model, reentrant: bool = reentrant) -> Tensor:
            maps = model[0](images)
            for block in (model[1], model[2]):
                maps = checkpoint(block, maps, use_reentrant=reentrant)
            scores: Tensor = model[3](maps)
            return scores

        loop = Loop(model, forward=forward).run()
        if reentrant:
            # The forward pass runs without gradients then, whose products torch adds up in another order.
            close_trace(loop.trace, name, 1e-4, "use_reentrant=True, ")
        else:
            same_trace(loop.trace, name, "use_reentrant=False, ")
    return None


@contextmanager
def compiler() -> Iterator[Any]:
    """A backend that counts the graphs it is given."""
    from torch._dynamo.testing import CompileCounterWithBackend

    torch.compiler.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield CompileCounterWithBackend("aot_eager")
    torch.compiler.reset()


def _compiled(name: str, *, dynamic: bool | None = None) -> str:
    """Train the compiled model, and count the graphs of its first and of its second half."""
    with compiler() as backend:
        model = adapted(name)
        loop = Loop(model, forward=torch.compile(model, backend=backend, dynamic=dynamic))
        loop.run(range(STEPS // 2))
        searching = backend.frame_count
        loop.run(range(STEPS // 2, STEPS))
        close_trace(loop.trace, name, 1e-3)
        return f"{searching} graphs in the first half, {backend.frame_count - searching} in the second"


def compile_before(name: str) -> str | None:
    """The plain network was compiled, and this one too before ``adapt``, in the same process."""
    with compiler() as backend:
        baseline, model = network().eval(), network().eval()
        run = torch.compile(model, backend=backend)
        with torch.no_grad():
            torch.compile(baseline, backend=backend)(IMAGE)
            run(IMAGE)
        autorf.adapt(model, METHODS[name])
        Loop(model).run()
        model.eval()
        with torch.no_grad():
            expect(torch.allclose(run(IMAGE), model(IMAGE), atol=1e-5), "the compiled model gives another output")
            autorf.freeze(model)
            expect(torch.allclose(run(IMAGE), model(IMAGE), atol=1e-5), "frozen and compiled it gives another output")
    return None


def compile_after(name: str) -> str | None:
    """The adapted model is compiled and trained."""
    return _compiled(name)


def compile_dynamic(name: str) -> str | None:
    """The same with ``dynamic=True``."""
    return _compiled(name, dynamic=True)


def export(name: str) -> str | None:
    """``torch.export`` after ``freeze``."""
    model = trained(name).model.eval()
    autorf.freeze(model)
    program = torch.export.export(model, (IMAGE,)).module()
    expect(torch.allclose(program(IMAGE), output(model), atol=1e-5), "the exported model gives another output")
    return None


def export_unfrozen(name: str) -> str | None:
    """``torch.export`` before ``freeze``."""
    model = trained(name).model.eval()
    program = torch.export.export(model, (IMAGE,)).module()
    expect(torch.allclose(program(IMAGE), output(model), atol=1e-5), "the exported model gives another output")
    return None


def onnx(name: str) -> str | None:
    """``torch.onnx.export`` after ``freeze``, run by onnxruntime."""
    import onnxruntime

    model, file = trained(name).model.eval(), io.BytesIO()
    autorf.freeze(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(model, (IMAGE,), verbose=False)
    assert program is not None
    program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {session.get_inputs()[0].name: IMAGE.numpy()})
    expect(torch.allclose(torch.from_numpy(scores), output(model), atol=1e-4), "the file gives another output")
    return None


def traced(name: str) -> str | None:
    """``torch.jit.trace`` after ``freeze``."""
    model = trained(name).model.eval()
    autorf.freeze(model)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program, file = torch.jit.trace(model, IMAGE), io.BytesIO()
        torch.jit.save(program, file)
        file.seek(0)
        scores = torch.jit.load(file)(IMAGE)
    expect(torch.allclose(scores, output(model), atol=1e-5), "the trace gives another output")
    return None


def early_stop(name: str) -> str | None:
    """The training stops in the search, and is frozen."""
    model = trained(name, MIDWAY).model
    if name in SEARCHING:
        words = refusal(lambda: autorf.freeze(model))
        before = output(model)
        autorf.freeze(model, unfinished=True)
        expect(torch.allclose(output(model), before, atol=1e-5), "freeze(unfinished=True) gives another output")
        raise autorf.InputError(words)
    before = output(model)
    autorf.freeze(model)
    expect(torch.allclose(output(model), before, atol=1e-5), "freeze gives another output")
    return None


def _not_reopened(loop: Loop, name: str, steps: range) -> None:
    fixed = autorf.learned_values(loop.model)
    for step in steps:
        loop.step(step)
        expect(not search_states(loop.model), f"step {step} reopened the search")
    if name.startswith("learned"):
        expect(autorf.learned_values(loop.model) == fixed, "what was fixed has changed")


def longer_total(name: str) -> str | None:
    """The finished training goes on to twice its length."""
    loop = trained(name)
    loop.total = 2 * STEPS
    _not_reopened(loop, name, range(STEPS, 2 * STEPS))
    return None


def second_fit(name: str) -> str | None:
    """A second training from step 0."""
    loop = trained(name)
    loop.optimizer = adamw(loop.model)
    _not_reopened(loop, name, range(STEPS))
    return None


def _said(loop: Loop) -> str:
    """Train, and then ask for all that one asks of a trained model; the line that was said on the way."""
    with heard() as lines:
        try:
            loop.run()
            autorf.describe(loop.model)
            autorf.freeze(loop.model)
        except autorf.InputError as error:
            return str(error)
    return lines[0] if lines else ""


def _own_parameters(name: str) -> bool:
    return len(list(adapted(name).parameters())) > len(list(network().parameters()))


def optimizer_before(name: str) -> str | None:
    """The optimizer was made before ``adapt``."""
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    autorf.adapt(model, METHODS[name])
    line = _said(Loop(model, optimizer))
    if not _own_parameters(name):
        return None
    expect(line, "what is learned is in no optimizer")
    raise autorf.InputError(line)


def foreign_optimizer(name: str) -> str | None:
    """The optimizer was made of ``model.parameters()``, with weight decay."""
    model = adapted(name)
    line = _said(Loop(model, torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)))
    if not _own_parameters(name):
        return None
    expect(line, "what is learned has weight decay and the model's learning rate")
    raise autorf.InputError(line)


def evaluation_mode(name: str) -> str | None:
    """The adapted part stays in evaluation mode while the rest is trained."""
    if name == "dilation":
        raise NotConcernedError("nothing is learned")
    model = adapted(name)
    loop = Loop(model, forward=lambda images: model[3](model[2].eval()(model[1].eval()(model[0](images)))))
    parameters = list(model.parameters())
    before = [parameter.detach().clone() for parameter in parameters]
    line = _said(loop)
    if not line and name not in SEARCHING and not any(map(torch.equal, before, parameters)):
        return "it learns in evaluation mode too"
    expect(line, "the search heard nothing" if name in SEARCHING else "something of ours was not learned")
    raise autorf.InputError(line)


def two_models(name: str) -> str | None:
    """Another adapted model is trained at the same time in the same process."""
    loop, other = Loop(adapted(name)), Loop(adapted("inflation with search"))
    for step in range(STEPS):
        other.model.train()
        other.step(step)
        loop.model.train()
        loop.step(step)
    same_trace(loop.trace, name)
    same_trace(other.trace, "inflation with search")
    return None


BEHAVIOURS: dict[str, Behaviour] = {
    "strict load in four phases": strict_load,
    "resume while searching": resume_searching,
    "resume when fixed": resume_fixed,
    "EMA of torch": ema_of_torch,
    "EMA of timm": ema_of_timm,
    "EMA of floats": ema_of_floats,
    "SWA": swa,
    "deepcopy": deepcopy,
    "pickle": pickled,
    "autocast": autocast,
    "whole model in bfloat16": whole_bfloat16,
    "channels_last": channels_last,
    "accumulation": accumulation,
    "clipping": clipping,
    "checkpointing in one block": checkpoint_one_block,
    "checkpointing across blocks": checkpoint_across_blocks,
    "compile before adapt": compile_before,
    "compile after": compile_after,
    "compile, dynamic": compile_dynamic,
    "export": export,
    "export before freeze": export_unfrozen,
    "ONNX": onnx,
    "jit.trace": traced,
    "early stop": early_stop,
    "longer total": longer_total,
    "second fit": second_fit,
    "optimizer before adapt": optimizer_before,
    "foreign optimizer": foreign_optimizer,
    "evaluation mode": evaluation_mode,
    "two models": two_models,
}
