"""Ray Tune runs what it is told: on this machine, on a cluster of two nodes, and when a node dies."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autorf.errors import InputError
from autorf.executors import Event
from autorf.executors.base import ended
from autorf.executors.knocking import knock
from autorf.executors.ray_cluster import Cluster
from autorf.executors.ray_files import TrialFileServer
from autorf.executors.ray_tune import TuneBridge, _death
from autorf.executors.ray_worker import _job_from, config_of
from autorf.study.executor_spec import ExecutorSpec, ResourcesSpec
from autorf.study.job import Job
from autorf.study.spec import StudySpec, parse_study
from tests.executors.fake_trials import shared_trial, sleeping_trial
from tests.reports import epoch_report
from tests.tiny import TINY

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    # Ray's workers get their path from the environment.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def four_epochs() -> StudySpec:
    return parse_study({**TINY, "executor": {"kind": "ray"}, "training": {"epochs": 4}}, "tiny.yaml")


def job(spec: StudySpec, root: Path, row: int, rungs: tuple[int, ...] = ()) -> Job:
    folder = root / "trials" / f"key{row}"
    return Job(row, f"key{row}", {"method": "dilation", "rate": 2}, 0, spec, folder, rungs)


def collect(executor: Any, jobs: int, react: Any = lambda event: None) -> dict[int, list[Event]]:
    """Every job's events until each has ended."""
    events: dict[int, list[Event]] = {}
    deadline = time.monotonic() + 400
    while sum(ended(said[-1]) for said in events.values()) < jobs:
        assert time.monotonic() < deadline, events
        for event in executor.wait(1.0):
            events.setdefault(event.row, []).append(event)
            react(event)
    return events


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def listeners(marker: str) -> set[str]:
    """The addresses, in hexadecimal, that processes with ``marker`` on their command line listen on."""
    inodes: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (process / "cmdline").read_text():
                inodes |= {
                    str(fd.readlink())[8:-1] for fd in (process / "fd").iterdir() if "socket" in str(fd.readlink())
                }
        except OSError:
            continue
    found: set[str] = set()
    for table in ("tcp", "tcp6"):
        rows = [line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
        found |= {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}
    return found


def process_of(name: str, marker: str) -> int:
    """The process of that name with ``marker`` on its command line."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "comm").read_text().strip() == name and marker in (process / "cmdline").read_text():
                return int(process.name)
    raise AssertionError(f"no {name} runs")


def telling(bridge: TuneBridge, row: int, kind: str, payload: dict[str, Any], went_on: list[int]) -> threading.Thread:
    """A thread in which Tune hears what a trial says, and waits; its row is in ``went_on`` then."""
    said = {"node": "here", "kind": kind, "payload": payload}

    def hear() -> None:
        bridge.hear({"row": row, "rungs": [1, 2]}, {"said": json.dumps(said)})
        went_on.append(row)

    thread = threading.Thread(target=hear, daemon=True)
    thread.start()
    while row not in bridge._held:
        time.sleep(0.01)
    return thread


def test_a_trial_goes_on_past_a_rung_only_once_the_search_has_seen_it_there() -> None:
    bridge = TuneBridge()
    went_on: list[int] = []
    first = telling(bridge, 1, "epoch", {"epoch": 0, "miou": 0.1}, went_on)
    assert [event.row for event in bridge.wait(1.0)] == [1]
    # The second reports while the search still decides about the first.
    second = telling(bridge, 2, "epoch", {"epoch": 0, "miou": 0.1}, went_on)
    assert [event.row for event in bridge.wait(1.0)] == [2]
    first.join(5)
    assert went_on == [1]
    bridge.stopping.add(2)
    bridge.let_go(2)
    second.join(5)
    assert went_on == [1, 2]
    third = telling(bridge, 1, "epoch", {"epoch": 1, "miou": 0.1}, went_on)
    assert bridge.wait(1.0)[0].payload == epoch_report(1)
    assert bridge.wait(0.0) == []
    third.join(5)
    assert went_on == [1, 2, 1]


@pytest.mark.parametrize("released_by", ["the next wait", "the end"])
def test_tune_hears_no_more_of_an_ended_trial_until_the_search_could_submit_the_next(released_by: str) -> None:
    bridge = TuneBridge()
    went_on: list[int] = []
    thread = telling(bridge, 1, "done", {"miou": 0.5, "epochs": 1}, went_on)
    assert [event.kind for event in bridge.wait(1.0)] == ["done"]
    assert went_on == []
    if released_by == "the end":
        bridge.close()
    else:
        assert bridge.wait(0.0) == []
    thread.join(2)
    assert went_on == [1]


def test_a_node_that_was_gone_before_a_trial_began_is_not_why_it_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        there = {"NodeManagerAddress": "127.0.0.1", "NodeManagerPort": server.getsockname()[1]}
        nodes = [{"NodeID": "here", "Alive": True, **there}, {"NodeID": "gone", "Alive": False, **there}]
        monkeypatch.setattr("autorf.executors.ray_tune.ray.nodes", lambda: nodes)
        bridge, config, trial = TuneBridge(), {"row": 1}, SimpleNamespace(error_file=None)
        bridge.begin(config)
        assert not _death(trial, bridge.nodes_of(config)).lost_node
        nodes[0]["Alive"] = False
        assert _death(trial, bridge.nodes_of(config)).lost_node


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.", "out of memory: "),
        ("ActorDiedError: potential causes: (1) killed by SIGKILL by the OOM killer.", "the worker process died: "),
    ],
)
def test_only_a_process_that_ray_killed_for_memory_is_called_out_of_memory(
    said: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autorf.executors.ray_tune.ray.nodes", list)
    (tmp_path / "error.txt").write_text(said)
    assert _death(SimpleNamespace(error_file=str(tmp_path / "error.txt")), set()).reason.startswith(reason)


def test_a_local_cluster_is_reached_from_this_machine_only_runs_stops_survives_and_leaves_nothing(
    four_epochs: StudySpec, tmp_path: Path
) -> None:
    from autorf.executors.ray import RayExecutor

    executor = RayExecutor(four_epochs.executor, 1, tmp_path, 2, partial(sleeping_trial, seconds=0.1))
    try:
        heard = listeners(str(executor._cluster._scratch.path))
        assert heard
        assert heard <= {"0100007F", "0000000000000000FFFF00000100007F"}
        executor.submit(job(four_epochs, tmp_path, 1, rungs=(2,)))
        executor.submit(job(four_epochs, tmp_path, 2, rungs=(1, 2)))

        def stop_first_at_two(event: Event) -> None:
            if event.row == 1 and event.kind == "epoch" and event.payload.epoch == 1:
                executor.stop(1)

        events = collect(executor, 2, stop_first_at_two)
        assert kinds(events[1]) == ["epoch", "epoch", "pruned"]
        assert events[1][-1].payload.epochs == 2
        assert kinds(events[2]) == [*["epoch"] * 4, "done"]
        executor.submit(job(four_epochs, tmp_path, 3))

        def kill(event: Event) -> None:
            if event.kind == "epoch" and event.payload.epoch == 0:
                os.kill(int((tmp_path / "trials" / "key3" / "process").read_text()), signal.SIGKILL)

        third = collect(executor, 1, kill)[3]
        assert third[-1].kind == "failed"
        assert third[-1].payload.crashed
        assert not third[-1].payload.lost_node
        executor.submit(job(four_epochs, tmp_path, 4))
        os.kill(process_of("raylet", str(executor._cluster._scratch.path)), signal.SIGKILL)
        # Ray would wait for another node for ever.
        with pytest.raises(InputError, match="Ray ended: its node is gone; the same command continues"):
            collect(executor, 2)
    finally:
        executor.close()
    assert [path.name for path in tmp_path.iterdir()] == ["trials"]
    assert not (Path.home() / "ray_results").exists()


@pytest.mark.slow
def test_a_trial_in_two_processes_runs_stops_and_tells_of_a_killed_one(four_epochs: StudySpec, tmp_path: Path) -> None:
    from autorf.executors.ray import RayExecutor

    spec = ExecutorSpec(kind="ray", resources=ResourcesSpec(cpu=1, processes=2))
    executor = RayExecutor(spec, 1, tmp_path, 1, shared_trial)
    try:
        executor.submit(job(four_epochs, tmp_path, 1))
        marker = str(executor._cluster._scratch.path)  # type: ignore[union-attr]
        heard: set[str] = set()

        def listen(event: Event) -> None:
            heard.update(listeners(marker), listeners("RayTrainWorker"))

        events = collect(executor, 1, listen)[1]
        assert kinds(events) == [*["epoch"] * 4, "done"], events[-1].payload
        assert {event.payload.loss for event in events[:-1]} == {11.0}
        assert heard <= {"0100007F", "0000000000000000FFFF00000100007F"}
        executor.submit(job(four_epochs, tmp_path, 2, rungs=(2,)))
        stopped = collect(
            executor, 1, lambda event: executor.stop(2) if event.kind == "epoch" and event.payload.epoch == 1 else None
        )[2]
        assert kinds(stopped) == ["epoch", "epoch", "pruned"]
        executor.submit(job(four_epochs, tmp_path, 3))

        def kill(event: Event) -> None:
            if event.kind == "epoch" and event.payload.epoch == 0:
                os.kill(int((tmp_path / "trials" / "key3" / "process1").read_text()), signal.SIGKILL)

        third = collect(executor, 1, kill)[3]
        assert third[-1].kind == "failed"
        assert third[-1].payload.crashed
    finally:
        executor.close()


def test_a_trial_goes_on_when_its_node_dies_and_files_come_home_without_a_shared_folder(
    four_epochs: StudySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import cluster_utils

    from autorf.executors.ray import RayExecutor

    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    with ExitStack() as leave:
        leave.callback(cluster.shutdown)
        second = cluster.add_node(**node)
        spec = ExecutorSpec(kind="ray", address=cluster.address)
        gate = tmp_path / "gate"
        trial = partial(sleeping_trial, gate=gate)
        executor = RayExecutor(spec, 1, tmp_path, 2, trial, always_ship=True)
        leave.callback(executor.close)
        assert executor.capacity == 2
        halfway: set[int] = set()
        lost: list[int] = []

        def take_the_node_away(event: Event) -> None:
            if event.kind == "epoch" and event.payload.epoch == 1:
                halfway.add(event.row)
                if halfway == {1, 2} and cluster.worker_nodes:
                    cluster.remove_node(second, allow_graceful=False)
            if event.kind == "failed":
                assert event.payload.lost_node, event.payload
                lost.append(event.row)
                # Not before: a worker outlives its node's other processes long enough to finish two short epochs.
                gate.touch()

        for row in (1, 2):
            executor.submit(job(four_epochs, tmp_path, row))
        collect(executor, 2, take_the_node_away)
        assert len(lost) == 1
        reached = int((tmp_path / "trials" / f"key{lost[0]}" / "epochs").read_text())
        assert reached >= 1
        again = job(four_epochs, tmp_path, lost[0])
        executor.submit(Job(9, again.key, again.configuration, 0, four_epochs, again.folder))
        assert kinds(collect(executor, 1)[9]) == [*["epoch"] * (4 - reached), "done"]


def test_a_job_survives_the_journey_to_a_worker(four_epochs: StudySpec, tmp_path: Path) -> None:
    sent = Job(3, "key", {"method": "dilation", "rate": 2}, 5, four_epochs, tmp_path, rungs=(1, 2), reached=1)
    assert _job_from(json.loads(json.dumps(config_of(sent))), tmp_path) == sent


def test_the_file_server_reads_and_writes_inside_the_study_only(tmp_path: Path) -> None:
    file_server = TrialFileServer(tmp_path)
    for name in ("../../outside", "epochs"):
        part = file_server.begin("../key", name)
        for piece in (b"12", b"3"):
            file_server.add("key", part, piece)
        assert name not in file_server.names("key")
        file_server.finish("key", part, name)
    assert file_server.names("key") == ["epochs", "outside"]
    assert file_server.read("key", "epochs", 1) == b"23"
    assert file_server.read("key", "epochs", 3) == b""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trials"]


def test_a_file_that_another_process_began_anew_takes_no_more_pieces(tmp_path: Path) -> None:
    file_server = TrialFileServer(tmp_path)
    part = file_server.begin("key", "epochs")
    file_server.begin("key", "epochs")
    with pytest.raises(FileNotFoundError):
        file_server.add("key", part, b"1")


def test_an_address_that_nobody_answers_is_said_within_seconds() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(
        InputError, match=rf"executor\.address '127\.0\.0\.1:{port}': nobody answers \(Connection refused"
    ):
        Cluster(ExecutorSpec(kind="ray", address=f"127.0.0.1:{port}"), 1)
    assert time.monotonic() - began < 20


def test_more_than_any_node_has_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(Cluster, "_start", lambda self: None)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    with pytest.raises(InputError, match=r"a trial asks for 1 CPU and 1 GPU, and no node .* 2 CPU, 0 GPU"):
        Cluster(ExecutorSpec(kind="ray", resources=ResourcesSpec(gpu=1)), 1)
    assert Cluster(ExecutorSpec(kind="ray", resources=ResourcesSpec(cpu=0.5)), 1).capacity == 4
    with pytest.raises(
        InputError, match=r"asks for 3 processes of 1 CPU, and the nodes of this machine hold 2 of them"
    ):
        Cluster(ExecutorSpec(kind="ray", resources=ResourcesSpec(processes=3)), 1)
    with pytest.raises(InputError, match=r"asks for 4 processes of 1 CPU and 1 GPU, and the nodes .* hold 0 of them"):
        Cluster(ExecutorSpec(kind="ray", resources=ResourcesSpec(gpu=4)), 1)


@pytest.mark.parametrize(
    ("executor", "message"),
    [
        ({"kind": "ray", "address": "somewhere"}, "must be host:port"),
        ({"kind": "local", "address": "auto"}, "address is for kind: ray"),
        ({"kind": "ray", "resources": {"gpu": 1.5}}, "gpu must be a share of one GPU or a whole number of them"),
        ({"kind": "ray", "resources": {"gpu": 2, "processes": 2}}, "processes is for trials without GPUs"),
        ({"kind": "ray", "resources": {"cpu": 0}}, "resources.cpu"),
    ],
)
def test_settings_of_the_executor_out_of_range_are_refused(executor: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_study({**TINY, "executor": executor}, "tiny.yaml")


@pytest.fixture(autouse=True, scope="module")
def _ray_is_left() -> Iterator[None]:
    yield
    import ray

    assert not ray.is_initialized()


@pytest.mark.parametrize(
    ("address", "problem"),
    [("127.0.0.1:99999", "nobody answers"), ("a..b:6379", "nobody answers"), (None, "what listens there is not Ray")],
)
def test_an_address_where_no_ray_answers_is_refused_within_seconds(address: str | None, problem: str) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(InputError, match=rf"executor\.address .*{problem}.*give the host:port"):
            knock(address or f"127.0.0.1:{server.server_port}")
        server.shutdown()
