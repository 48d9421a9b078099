"""One trial in several processes: Ray Train inside the trial that Tune knows.

The first process speaks to Tune's trial through a mailbox and waits for its answer, as a trial in one process does; Ray
Train's own reports, which nobody answers, are not used.
"""

import asyncio
import os
import tempfile
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import ray
import torch
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.torch.config import _set_torch_distributed_env_vars, _TorchBackend

from autorf.executors.base import Failure, Kind, Payload
from autorf.executors.processes import Processes

LISTEN_SECONDS = 1.0
"""How often the trial looks whether its processes are alive while they say nothing."""

END_SECONDS = 60.0
"""How long the processes may take to end once the trial is over."""


class Mailbox:
    """An actor between the processes of a training and its trial."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[tuple[Any, asyncio.Future[bool]]] = asyncio.Queue()
        self._pending: asyncio.Future[bool] | None = None
        self._failures: list[Failure] = []
        self._stopped = False

    async def say(self, message: Any) -> bool:
        """Leave a message; returns once it is answered, with whether to stop. Nobody answers after that was said."""
        if self._stopped:
            return True
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        await self._messages.put((message, answer))
        return await answer

    async def listen(self, seconds: float) -> Any:
        """The next message, or None when there is none for so long."""
        try:
            message, self._pending = await asyncio.wait_for(self._messages.get(), seconds)
        except TimeoutError:
            return None
        return message

    async def answer(self, stop: bool) -> None:
        """Answer the message that was heard last."""
        self._stopped = stop
        if self._pending is not None and not self._pending.done():
            self._pending.set_result(stop)

    async def fail(self, failure: Failure, lost_another: bool) -> None:
        """Leave word of why a process ends; one that only lost another one has nothing to say."""
        if not lost_another:
            self._failures.append(failure)

    async def failures(self) -> list[Failure]:
        """What :meth:`fail` was told."""
        return self._failures


def run_processes(
    work: Callable[[dict[str, Any], Any], None],
    config: dict[str, Any],
    processes: Processes,
    tell: Callable[[Kind, Payload], object],
) -> None:
    """Run ``work(config, mailbox)`` in every process, and pass on what the first says.

    Args:
        work: what a process does; leaves word in the mailbox before it raises.
        config: its first argument.
        processes: how many, with what.
        tell: takes each message and returns once it is answered; raises ``SystemExit`` when the trial is to stop.

    Raises:
        Exception: Ray Train's own, when a process died without a word.
    """
    mailbox = ray.remote(num_cpus=0)(Mailbox).remote()
    problems: list[Exception] = []
    training = threading.Thread(target=_fit, args=(work, config, processes, mailbox, problems), daemon=True)
    training.start()
    try:
        while (message := ray.get(mailbox.listen.remote(LISTEN_SECONDS))) is not None or training.is_alive():
            if message is not None:
                tell(*message)
                mailbox.answer.remote(False)
    except SystemExit:
        mailbox.answer.remote(True)
        training.join(END_SECONDS)
        raise
    if problems:
        own = ray.get(mailbox.failures.remote())
        if not own:
            raise problems[0]
        tell("failed", own[0])


def lost_another(error: BaseException) -> bool:
    """Whether a process failed only because another one is gone."""
    return isinstance(error, torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in ("gloo", "NCCL", "closed by peer"))
    )


def lightning_settings() -> dict[str, Any]:
    """Strategy and plugins that have Lightning join the processes that Ray Train started."""
    from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment

    # Windows open and close, and a backbone's last stages may stay unused.
    return {"strategy": RayDDPStrategy(find_unused_parameters=True), "plugins": [RayLightningEnvironment()]}


def _fit(work: Any, config: dict[str, Any], processes: Processes, mailbox: Any, problems: list[Exception]) -> None:
    def loop(given: dict[str, Any]) -> None:
        work(given, mailbox)

    with tempfile.TemporaryDirectory(prefix="autorf-train-") as folder:
        try:
            TorchTrainer(
                loop,
                train_loop_config=config,
                torch_config=_OnOneMachine(folder) if processes.one_machine else TorchConfig(),
                scaling_config=ScalingConfig(
                    num_workers=processes.number,
                    use_gpu=processes.resources.get("GPU", 0) > 0,
                    resources_per_worker={name: amount for name, amount in processes.resources.items() if amount},
                ),
                run_config=RunConfig(name=f"row-{config['row']}", storage_path=folder),
            ).fit()
        except Exception as error:
            problems.append(error)


class _OnOneMachine(TorchConfig):
    """Processes that meet in a folder; torch's own meeting place would listen on every interface."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    @property
    def backend_cls(self) -> Any:
        return _MeetInFolder


class _MeetInFolder(_TorchBackend):
    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        worker_group.execute(_set_torch_distributed_env_vars)
        count = len(worker_group)
        meeting = (Path(backend_config.folder) / "meeting").as_uri()
        backend = "nccl" if worker_group.get_resources_per_worker().get("GPU", 0) > 0 else "gloo"
        settings = backend, meeting, count, backend_config.timeout_s
        ray.get([worker_group.execute_single_async(rank, _meet, *settings, rank) for rank in range(count)])


def _meet(backend: str, meeting: str, count: int, seconds: float, rank: int) -> None:
    os.environ.update(GLOO_SOCKET_IFNAME="lo", NCCL_SOCKET_IFNAME="lo")
    torch.distributed.init_process_group(
        backend, init_method=meeting, rank=rank, world_size=count, timeout=timedelta(seconds=seconds)
    )
