"""Joining a Ray cluster, or starting one on this machine that only this machine can reach."""

import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autorf.errors import InputError
from autorf.executors.knocking import ANSWER_SECONDS, knock
from autorf.executors.ray_worker import Processes
from autorf.executors.scratch import Scratch
from autorf.study.executor_spec import ExecutorSpec

NODE_SECONDS = 3.0
"""How long a node may take to answer before it counts as dead."""

_NO_CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Nothing of Tune's state is ever read again.
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_MAX_PENDING_TRIALS_PG": "16",
}


class Cluster:
    """A connection to Ray.

    Attributes:
        ours: whether it was started here and ends with the search.
        trial: what one trial gets.
        capacity: how many trials fit at once.
    """

    def __init__(self, spec: ExecutorSpec, threads: int) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        resources = spec.resources
        self.ours = spec.address is None
        count = resources.count
        cpu = resources.cpu / count if resources.cpu is not None else float(threads)
        self.trial = Processes(count, {"CPU": cpu, "GPU": resources.gpu / count}, self.ours)
        self._scratch = Scratch(Path(tempfile.gettempdir()), "autorf-ray-") if self.ours else None
        self._node: dict[str, Any] | None = None
        try:
            self._start() if spec.address is None else _join(spec.address)
            fitting = self._fitting(spec)
        except BaseException:
            self.leave()
            raise
        # What happens to trials is told by the search, in its own words.
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        self.capacity = min(spec.workers or fitting, fitting)

    def is_there(self) -> bool:
        """False once the node of a cluster of ours is dead; Ray itself would wait for another one for ever."""
        return self._node is None or answers(self._node)

    def leave(self) -> None:
        """Disconnect; a cluster of ours ends and its files go."""
        import ray

        ray.shutdown()
        if self._scratch is not None:
            self._scratch.remove()

    def _start(self) -> None:
        """Start a node; its API server answers health checks on loopback, with neither pages nor jobs."""
        assert self._scratch is not None
        with _loopback_only(), _no_cloud():
            import ray

            ray.init(
                address="local",
                num_cpus=len(os.sched_getaffinity(0)),
                _node_ip_address="127.0.0.1",
                include_dashboard=False,
                _temp_dir=str(self._scratch.path),
                object_store_memory=256 * 2**20,
                **_quiet(),
            )
        self._node = ray.nodes()[0]

    def _fitting(self, spec: ExecutorSpec) -> int:
        """How many trials fit on all nodes at once; the processes of one may lie on several.

        Raises:
            InputError: when none fits.
        """
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        count, resources, _ = self.trial
        needed = {name: amount for name, amount in resources.items() if amount > 0}

        def fitting_on(node: dict[str, float]) -> int:
            return min(int(node.get(name, 0) / amount + 1e-9) for name, amount in needed.items())

        fitting = sum(fitting_on(node) for node in nodes)
        if fitting < count:
            place = spec.address or "this machine"
            needs = " and ".join(f"{amount:g} {name}" for name, amount in needed.items())
            raise InputError(
                f"executor.resources: a trial asks for {f'{count} processes of ' if count > 1 else ''}{needs}, and "
                f"{f'the nodes of {place} hold {fitting} of them' if count > 1 else f'no node of {place} has that'}: "
                + "; ".join(f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU" for node in nodes)
            )
        return fitting // count


def answers(node: dict[str, Any]) -> bool:
    """Whether a node, as ``ray.nodes`` lists it, can be reached."""
    try:
        socket.create_connection((node["NodeManagerAddress"], node["NodeManagerPort"]), timeout=NODE_SECONDS).close()
    except OSError:
        return False
    return True


@contextmanager
def _loopback_only() -> Iterator[None]:
    """Have Ray start a node that only this machine can reach.

    Ray replaces 127.0.0.1 by the machine's own address and then listens on every interface, unless it is told that
    this system knows no clusters, as on macOS.
    """
    os.environ[_NO_CLUSTERS] = "0"
    from ray._private import ray_constants

    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        del os.environ[_NO_CLUSTERS]


_NOWHERE = {"http_proxy": "http://127.0.0.1:9", "no_proxy": "localhost,127.0.0.1,::1"}
"""Of the environment of Ray's API server. Nobody listens at the discard port; loopback is reached without a proxy."""


@contextmanager
def _no_cloud() -> Iterator[None]:
    """Have Ray's API server not ask the metadata servers of three clouds, at an address and a name, where it runs.

    It asks even where usage is not to be reported, and has no setting for that; nothing else of it leaves loopback.
    """
    from ray._private import ray_constants, services

    start = services.start_ray_process

    def start_without_cloud(command: list[str], process_type: str, *arguments: Any, **options: Any) -> Any:
        if process_type == ray_constants.PROCESS_TYPE_DASHBOARD:
            options["env_updates"] = {**(options.get("env_updates") or {}), **_NOWHERE}
        return start(command, process_type, *arguments, **options)

    services.start_ray_process = start_without_cloud
    try:
        yield
    finally:
        services.start_ray_process = start


def _quiet() -> dict[str, Any]:
    return {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}


def _join(address: str) -> None:
    """Connect to the cluster at ``auto`` or ``host:port``.

    Raises:
        InputError: within seconds when nobody answers.
    """
    import ray

    if address != "auto":
        knock(address)
    os.environ.setdefault("RAY_gcs_rpc_server_connect_timeout_s", str(ANSWER_SECONDS))
    try:
        ray.init(address=address, **_quiet())
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(
            f"executor.address {address!r}: no Ray cluster answers ({line}); start one with 'ray start --head', "
            "or leave the address out for one on this machine"
        ) from None
