import os
import threading
import time
from pathlib import Path

import pytest

from autorf.errors import InputError
from autorf.study.spec import StudySpec, parse_study
from autorf.tracking import background
from autorf.tracking.background import BackgroundMirror, open_mirror
from autorf.tracking.client import insecure, own_settings, shown_uri
from autorf.tracking.mirror import Mirror
from tests.tiny import TINY
from tests.tracking.conftest import free_port, record, runs_of


class Stub(Mirror):
    """A mirror whose calls are noted, wait for ``door``, and fail while ``broken``."""

    def __init__(self, spec: StudySpec) -> None:
        super().__init__("https://user:secret@mlflow.test", spec, "id", Path())
        self.calls: list[str] = []
        self.broken = False
        self.door = threading.Event()
        self.door.set()

    def _note(self, call: str) -> None:
        self.door.wait(30)
        self.calls.append(call)
        if self.broken:
            raise OSError("nobody home\nand more")

    def begin(self, records) -> None:
        self._note("begin")

    def sync(self, record) -> None:
        self._note(f"{record.key} {len(record.history)}")

    def close(self, records) -> None:
        self._note("close")


@pytest.fixture
def stub(spec: StudySpec) -> Stub:
    return Stub(spec)


def test_the_study_never_waits_and_only_the_newest_record_counts(stub: Stub) -> None:
    stub.door.clear()
    with BackgroundMirror(stub) as mirror:
        mirror.begin([])
        for epochs in range(1, 50):
            mirror.sync(record(epochs=epochs))
        mirror.sync(record(key="other"))
        assert stub.calls == []
        mirror.close([])
        stub.door.set()
    assert stub.calls == ["begin", "abc 49", "other 1", "close"]


def test_a_mirror_that_hangs_holds_the_end_for_a_bounded_time_only(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(background, "CLOSE_SECONDS", 0.2)
    stub.door.clear()
    began = time.monotonic()
    with BackgroundMirror(stub) as mirror:
        mirror.sync(record())
    assert time.monotonic() - began < 5
    assert "did not take everything in time" in capsys.readouterr().err
    stub.door.set()


def test_a_failure_is_said_once_without_the_password_and_tried_again_at_the_end(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.broken = True
    with BackgroundMirror(stub) as mirror:
        mirror.sync(record())
        mirror.sync(record(key="other"))
        mirror.close([])
    assert stub.calls == ["abc 1", "close"]
    said = capsys.readouterr().err
    expected = "MLflow at https://user:***@mlflow.test failed (nobody home); the study goes on, the next run repairs it"
    assert said.strip() == expected


def test_nobody_at_the_address_is_one_line_within_seconds(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], spec: StudySpec
) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    began = time.monotonic()
    with BackgroundMirror(Mirror(uri, spec, "id", tmp_path)) as mirror:
        mirror.begin([])
        mirror.sync(record())
        mirror.close([record("complete")])
    assert time.monotonic() - began < 30
    assert capfd.readouterr().err.count("\n") == 1


def test_the_default_mirror_lies_under_the_root(tmp_path: Path, spec: StudySpec) -> None:
    mirrored = open_mirror(spec, tmp_path, "id")
    assert mirrored.mirror.uri == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert mirrored.mirror._artifacts == (tmp_path / "mlartifacts" / "tiny").as_uri()


def test_system_metrics_are_recorded_on_the_parent_on_request(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    mirror.spec = mirror.spec.model_copy(
        update={"tracking": mirror.spec.tracking.model_copy(update={"system_metrics": True})}
    )
    mirror.begin([])
    with BackgroundMirror(mirror) as mirrored:
        mirrored.begin([])
        while mirrored._monitor is None or not mirrored._monitor._logging_step:
            time.sleep(0.05)
        mirrored.close([])
    assert "system/cpu_utilization_percentage" in runs_of(mirror)["study"].data.metrics


@pytest.mark.parametrize("uri", ["file:///tmp/mlruns", "mlruns", "http://"])
def test_an_address_that_mlflow_cannot_take_is_refused(uri: str) -> None:
    with pytest.raises(InputError, match=r"tracking.uri: an MLflow address"):
        parse_study({**TINY, "tracking": {"uri": uri}}, "tiny.yaml")


def test_plain_http_to_another_host_is_warned_about() -> None:
    assert "plain http" in (insecure("http://me:pw@cluster:5000") or "")
    assert "pw" not in (insecure("http://me:pw@cluster:5000") or "")
    assert [insecure(uri) for uri in ("http://127.0.0.1:5", "http://localhost", "https://a.b", "sqlite:///a")] == [
        None
    ] * 4
    assert shown_uri("sqlite:///runs/mlflow.db") == "sqlite:///runs/mlflow.db"


def test_the_environment_of_the_user_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    before = dict(os.environ)
    with own_settings():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
    assert dict(os.environ) == before
