"""Call the library's public functions with an argument of another kind: does each answer in one line?

    python benchmarks/fuzz_calls.py --count 1000 --seed 0

Every call is right but for one argument, or two. It may work, for not everything odd is wrong, or raise ``InputError``
in one line of at most 300 characters. Any other error, a longer answer, or one that takes longer than :data:`PATIENCE`
seconds is wrong, and the exit code is 1 then.
"""

import argparse
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzz_answer import Answer
from torch import nn

import autorf
from autorf import advice, fields, ops
from autorf.methods import is_learned, is_manual, method_class
from autorf.surgery import search_states

LONGEST = 300
PATIENCE = 20.0
KIND = "library calls"


def network() -> nn.Module:
    """Two convolutions."""
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1)).eval()


def adapted() -> nn.Module:
    """A network whose second layer learns."""
    return autorf.adapt(network(), autorf.LearnedDilation(targets="1"))


def _sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1)


def _labels(model: Any, target: Any) -> None:
    with autorf.labels(model, target):
        pass


IMAGE, MAP, WEIGHT = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 5, 7), torch.rand(4, 3, 3, 3)
OPERATOR = {"input": lambda: MAP, "weight": lambda: WEIGHT, "bias": lambda: None, "groups": lambda: 1}

Arguments = Mapping[str, Callable[[], Any]]

FUNCTIONS: dict[str, tuple[Callable[..., Any], Arguments]] = {
    "adapt": (
        lambda model, method, example_input: autorf.adapt(model, method, example_input=example_input),
        {"model": network, "method": lambda: autorf.Dilation(targets="1", rate=2), "example_input": lambda: IMAGE},
    ),
    "adaptations": (autorf.adaptations, {"model": adapted}),
    "advance": (
        autorf.advance,
        {"model": adapted, "step": lambda: 1, "total_steps": lambda: 9, "optimizer": lambda: _sgd(network())},
    ),
    "build": (autorf.build, {"spec": lambda: "largefov:test_resnet", "classes": lambda: 3}),
    "describe": (autorf.describe, {"model": adapted}),
    "freeze": (autorf.freeze, {"model": network, "example_input": lambda: IMAGE}),
    "labels": (_labels, {"model": network, "target": lambda: torch.zeros(1, 4, 4, dtype=torch.long)}),
    "learned_values": (autorf.learned_values, {"model": adapted}),
    "load": (autorf.load, {"build": lambda: network, "folder": lambda: "nowhere"}),
    "parameter_groups": (
        lambda model, lr, weight_decay: autorf.parameter_groups(model, lr, weight_decay=weight_decay),
        {"model": adapted, "lr": lambda: 0.1, "weight_decay": lambda: 0.0},
    ),
    "plain_state_dict": (autorf.plain_state_dict, {"model": network}),
    "receptive_field": (
        autorf.receptive_field,
        {"model": network, "image_size": lambda: 16, "output": lambda: None, "in_channels": lambda: 3},
    ),
    "save": (autorf.save, {"model": network, "folder": lambda: "model"}),
    "search_again": (autorf.search_again, {"model": adapted}),
    "search_states": (search_states, {"model": adapted}),
    "verify": (autorf.verify, {"model": adapted, "optimizer": lambda: _sgd(network())}),
    "Dilation": (autorf.Dilation, {"targets": lambda: "1", "rate": lambda: 2}),
    "Inflation": (autorf.Inflation, {"start": lambda: "0", "end": lambda: "1"}),
    "LearnedDilation": (
        autorf.LearnedDilation,
        {"targets": lambda: "1", "rates": lambda: (1, 2), "start": lambda: 1, "search": lambda: 0.5},
    ),
    "PixelAdaptive": (autorf.PixelAdaptive, {"targets": lambda: "1", "rates": lambda: (1, 2)}),
    "ScaleAdaptive": (autorf.ScaleAdaptive, {"targets": lambda: "1"}),
    "ModelSpec": (autorf.ModelSpec, {"name": lambda: "largefov:test_resnet", "stage": lambda: 1, "kernel": lambda: 3}),
    "MultiScale": (autorf.MultiScale, {"model": network, "scales": lambda: (0.5, 1.0), "multiple": lambda: 1}),
    "ReceptiveFieldCallback": (
        autorf.ReceptiveFieldCallback,
        {"method": lambda: autorf.Dilation(targets="1", rate=2), "steps": lambda: 5, "module": lambda: ""},
    ),
    "effective_receptive_field": (
        lambda model, images, classes, centre: fields.effective_receptive_field(
            model, images, classes=classes, centre=centre
        ),
        {"model": network, "images": lambda: IMAGE, "classes": lambda: [0], "centre": lambda: 1},
    ),
    "field_map": (
        fields.field_map,
        {"model": lambda: autorf.adapt(network(), autorf.PixelAdaptive(targets="1")), "image": lambda: IMAGE},
    ),
    "figure": (
        fields.figure,
        {"field": lambda: fields.effective_receptive_field(network(), IMAGE), "names": lambda: None},
    ),
    "inflated_kernel": (
        fields.inflated_kernel,
        {"kernel": lambda: 3, "dilation": lambda: 2, "factor": lambda: 2.0},
    ),
    "inflated_field": (
        fields.inflated_field,
        {"rf_in": lambda: 9, "stride": lambda: 2, "kernel": lambda: 3, "dilation": lambda: 2, "factor": lambda: 2.0},
    ),
    "advise": (
        lambda model, image_size, object_size, layers: advice.advise(model, image_size, object_size, layers=layers),
        {"model": network, "image_size": lambda: 32, "object_size": lambda: 9, "layers": lambda: ["1"]},
    ),
    "tiling": (advice.tiling, {"field": lambda: autorf.receptive_field(network(), 16)}),
    "method_class": (method_class, {"name": lambda: "dilation"}),
    "is_learned": (is_learned, {"name": lambda: "dilation"}),
    "is_manual": (is_manual, {"name": lambda: "dilation"}),
    "inflate": (ops.inflate, {"input": lambda: MAP, "factor": lambda: 1.5}),
    "interpolate": (ops.interpolate, {"input": lambda: MAP, "factor": lambda: 0.5, "size": lambda: (3, 4)}),
    "scale_adaptive_conv2d": (
        ops.scale_adaptive_conv2d,
        {**OPERATOR, "scale": lambda: torch.ones(1, 1, 5, 7), "dilation": lambda: 1},
    ),
    "pixel_adaptive_conv2d": (
        ops.pixel_adaptive_conv2d,
        {**OPERATOR, "probabilities": lambda: torch.rand(1, 2, 5, 7), "rates": lambda: (1, 2)},
    ),
    "windowed_dilated_conv2d": (
        ops.windowed_dilated_conv2d,
        {**OPERATOR, "probabilities": lambda: torch.rand(2), "rates": lambda: (1, 2)},
    ),
    "blended_dilated_conv2d": (
        ops.blended_dilated_conv2d,
        {**OPERATOR, "lower": lambda: [0], "blend": lambda: torch.rand(1), "rates": lambda: (1, 2)},
    ),
}
"""Public functions, each with arguments that are right."""


def _quantised() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.nn.quantized.Conv2d(3, 2, 3)


def _scripted() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(nn.Conv2d(3, 2, 3))


def _meta() -> nn.Module:
    with torch.device("meta"):
        return network()


ODD: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "0": lambda: 0,
    "-1": lambda: -1,
    "16.5": lambda: 16.5,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "1e308": lambda: 1e308,
    "10**30": lambda: 10**30,
    "10**5000": lambda: 10**5000,
    "1+2j": lambda: 1 + 2j,
    "''": lambda: "",
    "'a'": lambda: "a",
    "'../x'": lambda: "../x",
    "'('": lambda: "(",
    "'x' * 10**5": lambda: "x" * 10**5,
    "'a\\x1b[31m\\n'": lambda: "a\x1b[31m\n",
    "'a\\0'": lambda: "a\0",
    "b'x'": lambda: b"x",
    "[]": list,
    "()": tuple,
    "{}": dict,
    "(16,)": lambda: (16,),
    "(16, -1)": lambda: (16, -1),
    "(16, 16, 16)": lambda: (16, 16, 16),
    "(1.5, 2)": lambda: (1.5, 2),
    "[None]": lambda: [None],
    "range(10**6)": lambda: range(10**6),
    "object()": object,
    "print": lambda: print,
    "int": lambda: int,
    "numpy.int64(3)": lambda: np.int64(3),
    "numpy.zeros(3)": lambda: np.zeros(3),
    "tensor(3)": lambda: torch.tensor(3),
    "zeros(2, 2)": lambda: torch.zeros(2, 2),
    "zeros(1, 3, 16, 16, int)": lambda: torch.zeros(1, 3, 16, 16, dtype=torch.int64),
    "an empty image": lambda: torch.zeros(1, 3, 0, 0),
    "a half image": lambda: torch.zeros(1, 3, 16, 16, dtype=torch.float16),
    "a nan image": lambda: torch.full((1, 3, 16, 16), float("nan")),
    "a meta tensor": lambda: torch.zeros(1, 3, 16, 16, device="meta"),
    "a sparse tensor": lambda: torch.eye(3).to_sparse(),
    "nn.Conv2d": lambda: nn.Conv2d,
    "nn.Identity()": nn.Identity,
    "nn.Linear(3, 2)": lambda: nn.Linear(3, 2),
    "a ModuleList": lambda: nn.ModuleList([nn.Conv2d(3, 2, 3)]),
    "a meta model": _meta,
    "a scripted model": _scripted,
    "a quantised model": _quantised,
    "a half model": lambda: network().half(),
    "a frozen dataclass": lambda: Answer("", "", "", 0),
    "a method": lambda: autorf.LearnedDilation(targets="1"),
    "a path": lambda: Path("/nowhere/at/all"),
    "an optimizer": lambda: _sgd(network()),
}
"""Values of other kinds, by how they are written."""


def library_calls(count: int, seed: int, folder: Path) -> Iterator[Answer]:
    """Make ``count`` calls, always the same ones for a ``seed``, and yield how each was answered.

    What ``save`` writes goes to ``folder``.
    """
    draw = random.Random(seed)
    torch.manual_seed(seed)
    for _ in range(count):
        yield _call(draw, folder)


answers = library_calls
"""As ``fuzz.py`` knows the calls."""


def _call(draw: random.Random, folder: Path) -> Answer:
    function = draw.choice(list(FUNCTIONS))
    call, arguments = FUNCTIONS[function]
    chosen = draw.sample(list(arguments), min(len(arguments), draw.choice((1, 1, 2))))
    odd = {name: draw.choice(list(ODD)) for name in chosen}
    values = {name: ODD[odd[name]]() if name in odd else make() for name, make in arguments.items()}
    if function == "save" and isinstance(values["folder"], str | Path):
        # Whatever it is called, inside: even an absolute path.
        values["folder"] = f"{folder}/saved/{values['folder']}" if str(values["folder"]) else ""
    given = f"{function}({', '.join(f'{name}={text}' for name, text in odd.items())})"
    began = time.monotonic()
    text, code, problem = _answer(call, values)
    seconds = time.monotonic() - began
    if seconds > PATIENCE:
        problem = problem or f"answered after {seconds:.0f} seconds"
    return Answer(KIND, given, text, code, problem)


def _answer(call: Callable[..., Any], values: Mapping[str, Any]) -> tuple[str, int, str]:
    """What came back, the exit code that it stands for, and what is wrong with it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = call(**values)
    except autorf.InputError as error:
        text = str(error)
        problem = "" if len(text) <= LONGEST and text.isprintable() else "longer than a short printable line"
        return text, 2, problem
    except Exception as error:
        text = " ".join(str(error).split())[:LONGEST]
        return text, 1, f"raised {type(error).__name__}"
    return f"a {type(result).__name__}", 0, ""


def main() -> int:
    """Print a line for every function, and the faults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        calls = list(library_calls(options.count, options.seed, Path(folder)))
    print("| function | calls | worked | refused | wrong |\n|---|---|---|---|---|")
    for function in FUNCTIONS:
        own = [call for call in calls if call.given.startswith(f"{function}(")]
        codes = [call.code for call in own]
        wrong = sum(not call.ok for call in own)
        print(f"| {function} | {len(own)} | {codes.count(0)} | {codes.count(2)} | {wrong} |")
    faults = [call for call in calls if not call.ok]
    for call in faults:
        print(f"{call.given}: {call.problem}: {call.text[:200]}", file=sys.stderr)
    print(f"\n{len(calls)} calls, {len(faults)} wrong")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
