"""What a trial does on its device, on devices that are not here: precision, compiling, fused steps, pinned memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.fabric.utilities.apply_func import move_data_to_device
from torch import Tensor, nn

from autorf.data import load
from autorf.errors import InputError
from autorf.running.first_step import check_first_step
from autorf.study.spec import parse_study
from autorf.study.trial import grid
from autorf.training import batches as batches_module
from autorf.training import device as module
from autorf.training import module as training_module
from autorf.training.batches import loader
from autorf.training.device import autocast, computed_precision, is_fused, pins_memory, unread_steps
from autorf.training.module import SegmentationModule
from autorf.training.results import TrialResult
from tests.tiny import TINY
from tests.training.test_host_reads import HostLists, HostReads

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")


@pytest.mark.parametrize(
    ("precision", "capability", "on_gpu", "on_cpu"),
    [
        ("auto", (9, 0), "bf16", "32"),
        ("auto", (8, 0), "bf16", "32"),
        ("auto", (7, 5), "32", "32"),
        ("bf16", (7, 5), "bf16", "bf16"),
        ("32", (9, 0), "32", "32"),
    ],
)
def test_auto_is_bf16_where_a_gpu_has_units_for_it(
    monkeypatch: pytest.MonkeyPatch, precision: Any, capability: tuple[int, int], on_gpu: str, on_cpu: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert computed_precision(precision, GPU) == on_gpu
    assert computed_precision(precision, CPU) == on_cpu
    with autocast(precision, CPU):
        assert torch.is_autocast_enabled("cpu") == (on_cpu == "bf16")


def test_a_result_says_what_auto_came_to_and_older_ones_say_nothing() -> None:
    values = {"metrics": {"miou": 0.5}, "field": None, "epochs": 1}
    result = TrialResult(**values, precision="bf16")  # type: ignore[arg-type]
    assert TrialResult.from_json(result.to_json()) == result
    plain = TrialResult(**values).to_json()  # type: ignore[arg-type]
    assert "precision" not in plain
    assert TrialResult.from_json(plain).precision is None


class _OnGpu(nn.Parameter):
    """A parameter that takes itself for one on a GPU."""

    @property
    def is_cuda(self) -> bool:
        return True


def test_a_step_is_fused_where_all_parameters_are_on_a_gpu() -> None:
    here, there = nn.Parameter(torch.zeros(2)), _OnGpu(torch.zeros(2))
    assert is_fused([{"params": [there]}, {"params": [there]}]) is True
    assert is_fused([{"params": [there]}, {"params": [here]}]) is None
    assert is_fused([]) is None


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_on_the_cpu_the_optimizer_is_torchs_own(name: str) -> None:
    spec = parse_study({**TINY, "training": {"optimizer": name, "steps": 4}}, "tiny")
    configured = SegmentationModule(nn.Conv2d(3, 11, 1), spec.training, load(spec.data)).configure_optimizers()
    assert {group["fused"] for group in configured["optimizer"].param_groups} == {None}


class _Recorded(Tensor):
    """Notes how it is sent to a device."""

    sent: list[dict[str, Any]]

    def to(self, *args: Any, **kwargs: Any) -> Any:
        self.sent.append({"device": args[0], **kwargs})
        return self


def test_a_batch_is_copied_to_a_gpu_while_the_host_goes_on() -> None:
    parts = [torch.zeros(2, dtype=torch.uint8).as_subclass(_Recorded) for _ in range(2)]
    _Recorded.sent = []
    move_data_to_device(tuple(parts), GPU)
    move_data_to_device(tuple(parts), CPU)
    gpu = {"device": GPU, "non_blocking": True}
    assert _Recorded.sent == [gpu, gpu, {"device": CPU}, {"device": CPU}]


@pytest.fixture
def _pinning_anew() -> Iterator[None]:
    pins_memory.cache_clear()
    yield
    pins_memory.cache_clear()


@pytest.mark.usefixtures("_pinning_anew")
@pytest.mark.parametrize(
    ("has_gpu", "may", "expected"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_memory_is_pinned_where_there_is_a_gpu_and_it_may_be(
    monkeypatch: pytest.MonkeyPatch, has_gpu: bool, may: bool, expected: bool
) -> None:
    def pin(tensor: Tensor) -> Tensor:
        if not may:
            raise RuntimeError("CUDA error: operation not permitted")
        return tensor

    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(Tensor, "pin_memory", pin)
    assert pins_memory() is expected
    assert loader(load(parse_study(TINY, "tiny").data).train, 4, 0, shuffle=True).pin_memory is expected


def tiny(**training: Any) -> Any:
    return parse_study({**TINY, "training": {"epochs": 1, "batch_size": 16, **training}}, "tiny")


def test_a_step_from_a_stored_batch_on_reads_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where the host looks at losses now and then only."""
    monkeypatch.setattr(training_module, "unread_steps", lambda device: 64)
    spec = tiny()
    splits = load(spec.data)
    trained = SegmentationModule(nn.Conv2d(3, 11, 1), spec.training, splits)
    monkeypatch.setattr(SegmentationModule, "trainer", type("Trainer", (), {"training": True})())
    stored = splits.train.stored(range(4))
    with HostReads() as seen, HostLists() as listed:
        trained.training_step(trained.on_after_batch_transfer(stored, 0), 0).backward()  # type: ignore[arg-type]
    assert (seen.lines, listed.names) == ([], [])
    monkeypatch.setattr(training_module, "unread_steps", lambda device: 1)
    with HostLists() as listed:
        trained.training_step(splits.train.tensors(range(4)), 0)
    assert listed.names == ["tolist"], "a look at the losses is seen"


def test_the_host_looks_at_every_loss_of_the_cpu_and_now_and_then_at_those_of_a_gpu() -> None:
    assert unread_steps(CPU) == 1
    assert unread_steps(GPU) > 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("unread", "step"), [(1, 4), (2, 3), (2, 5), (3, 4), (100, 3), (100, 5)])
def test_a_loss_that_is_no_number_ends_the_training_and_its_step_is_named(
    monkeypatch: pytest.MonkeyPatch, unread: int, step: int
) -> None:
    monkeypatch.setattr(training_module, "unread_steps", lambda device: unread)
    spec = tiny(epochs=2)
    splits = load(spec.data)

    class Broken(SegmentationModule):
        def on_train_batch_start(self, _: Any, batch_idx: int) -> None:
            if self.global_step == step:
                nn.init.constant_(self.model.weight, torch.nan)

    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    # Three steps an epoch: the last one's loss is looked at when the epoch ends.
    batches = [loader(images, 16, 0, shuffle=images is splits.train) for images in (splits.train, splits.val)]
    with pytest.raises(FloatingPointError, match=rf"the training loss became nan at step {step}$"):
        trainer.fit(Broken(nn.Conv2d(3, 11, 1), spec.training, splits), *batches)


def test_settings_that_compiling_contradicts_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match=r"compile: the loss reads what goes into the layer head\.1.*leave compile"):
        tiny(compile=True, loss={"name": "contextual", "layer": "head.1"})
    two = {"executor": {"kind": "ray", "resources": {"processes": 2}}}
    with pytest.raises(InputError, match=r"training\.compile: a trial in 2 processes .*leave one of them out"):
        parse_study({**TINY, **two, "training": {"compile": True}}, "tiny")
    with pytest.raises(InputError, match=r"training\.compile: cannot be searched: .*set it for the study"):
        grid(parse_study({**TINY, "search_space": [{"method": "dilation", "training.compile": [True]}]}, "t"), "t")


def test_a_method_whose_maps_change_their_size_is_not_compiled(tmp_path: Path) -> None:
    from autorf.driver.plan import plan

    with pytest.raises(InputError, match=r"training\.compile: inflation changes the sizes of its maps .*leave"):
        plan(tiny(compile=True), "tiny", tmp_path)


def test_keys_of_trials_do_not_know_whether_they_are_compiled_or_in_which_precision() -> None:
    keys = [
        [trial.key for trial in grid(tiny(**training), "tiny")]
        for training in ({}, {"compile": True}, {"precision": "auto"})
    ]
    assert keys[0] == keys[1] == keys[2]


def test_a_compiler_that_is_not_there_is_said_in_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor.exc import InductorError, InvalidCxxCompiler

    def missing(network: nn.Module) -> Any:
        def call(image: Tensor) -> Any:
            raise InductorError(InvalidCxxCompiler(), None)

        return call

    monkeypatch.setattr(training_module, "compiled", missing)
    spec = tiny(compile=True)
    trial = grid(spec, "tiny")[0]
    with pytest.raises(
        InputError, match=r"batch of 16 failed: InvalidCxxCompiler: No working .*cannot be compiled"
    ) as refused:
        check_first_step(spec, trial, load(spec.data))
    assert len(str(refused.value)) <= 290
    assert "\n" not in str(refused.value)


def test_a_first_loss_that_is_no_number_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_module, "unread_steps", lambda device: 64)
    monkeypatch.setattr(training_module, "class_scores", lambda output, image: output * torch.nan)
    spec = tiny()
    with pytest.raises(InputError, match="a step on a batch of 16 failed: the training loss became nan"):
        check_first_step(spec, grid(spec, "tiny")[0], load(spec.data))


def test_only_a_training_step_is_compiled_and_it_is_of_the_same_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []

    def noted(network: nn.Module) -> Any:
        return lambda image: called.append(network) or network(image)

    spec = tiny(compile=True)
    splits = load(spec.data)
    plain = SegmentationModule(nn.Conv2d(3, 11, 1), tiny().training, splits)
    monkeypatch.setattr(training_module, "compiled", noted)
    network = nn.Conv2d(3, 11, 1)
    trained = SegmentationModule(network, spec.training, splits)
    assert plain.state_dict().keys() == trained.state_dict().keys()
    batch = splits.train.tensors([0, 1])
    trained.training_step(batch, 0).backward()
    assert called == [network]
    assert network.weight.grad is not None
    trained.eval()
    trained.validation_step(batch, 0)
    assert called == [network]


def test_loaders_ask_where_memory_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_module, "pins_memory", lambda: True)
    assert loader(load(parse_study(TINY, "tiny").data).val, 4, 0, shuffle=False).pin_memory
    assert module.own_device() == (torch.device("cuda") if torch.cuda.is_available() else CPU)
