import shutil
from pathlib import Path

import pytest

from autorf.files import size_in_words
from autorf.store.store import open_store
from autorf.store.summaries import summaries
from tests.cli.conftest import Shell

Trained = tuple[Path, list[str]]


@pytest.fixture
def root(trained: Trained, tmp_path: Path) -> Path:
    """A root with a study of two trained trials and one that waits."""
    copied = tmp_path / "runs"
    shutil.copytree(trained[0], copied)
    return copied


def test_studies_under_the_root_are_listed_with_trials_best_and_size(shell: Shell, root: Path) -> None:
    answer = shell.run("studies", "--root", str(root))
    (study,) = summaries(root)
    line = next(line for line in answer.out.splitlines() if line.strip().startswith(study.name))
    assert study.trials == {"complete": 2, "waiting": 1}
    assert "2 complete, 1 waiting" in line
    assert study.best == max(record.value("miou") for record in open_store(root, study.name).records() if record.result)
    assert f"mIoU {study.best:.4g}" in line
    files = sum(path.stat().st_size for path in (root / study.name).rglob("*") if path.is_file())
    assert size_in_words(files) in line
    assert "quickstart" in answer.out


def test_a_study_that_cannot_be_read_is_listed_with_the_reason_and_others_are_too(shell: Shell, root: Path) -> None:
    (root / "broken").mkdir()
    (root / "broken" / "study.db").write_bytes(b"no database" * 100)
    (root / "elsewhere").mkdir()
    (root / "elsewhere" / "storage.url").write_text("postgresql+psycopg://me@127.0.0.1:1/none\n")
    (root / "no study").mkdir()
    by_name = {study.name: study for study in summaries(root)}
    assert len(by_name) == 3
    assert str(by_name["broken"].problem).startswith("study.db: ")
    assert by_name["elsewhere"].problem == "in a database: autorf compare elsewhere"
    assert shell.run("studies", "--root", str(root)).code == 0


def test_a_root_without_studies_says_so(shell: Shell) -> None:
    assert "Under nowhere (--root): none" in shell.run("studies", "--root", "nowhere").out


def test_a_built_in_file_is_printed_whole(shell: Shell) -> None:
    from autorf.study import builtin

    text = (builtin.folder("studies") / "quickstart.yaml").read_text()
    assert shell.run("studies", "quickstart").out == text
    answer = shell.run("studies", "quikstart")
    assert answer.code == 2
    assert "did you mean quickstart" in answer.err


def test_clean_removes_checkpoints_and_nothing_else(shell: Shell, root: Path) -> None:
    store = open_store(root, next(summaries(root)).name)
    waiting = next(record for record in store.records() if record.state == "waiting")
    checkpoints = [store.folder / "trials" / waiting.key / "checkpoint.safetensors"]
    checkpoints += [store.folder / "retrained" / ".abc.unfinished" / "seed-0" / "checkpoint.previous.safetensors"]
    for path in checkpoints:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1000)
    there = {path for path in store.folder.rglob("*") if path.is_file()}
    removed = {path for path in there if path.name.startswith("checkpoint.")}
    assert removed >= set(checkpoints)
    pictures = root / "cache" / "pictures" / "0123"
    pictures.mkdir(parents=True)
    (pictures / "train.images").write_bytes(b"x" * 2000)
    pictures.with_suffix(".lock").touch()
    answer = shell.run("clean", store.name, "--root", str(root))
    assert "decoded pictures that no process uses removed, 2 kB" in answer.out
    assert not pictures.exists()
    assert f"{len(removed)} checkpoints removed" in answer.out
    assert "1 trials that are not over begin anew" in answer.out
    assert {path for path in store.folder.rglob("*") if path.is_file()} == there - removed
    assert "0 checkpoints removed" in shell.run("clean", store.name, "--root", str(root)).out


def test_a_study_that_is_running_is_not_cleaned(shell: Shell, root: Path) -> None:
    store = open_store(root, next(summaries(root)).name)
    assert store.claim() is not None
    answer = shell.run("clean", store.name, "--root", str(root))
    assert answer.code == 2
    assert "is running" in answer.err
    assert next(summaries(root)).trials["running"] == 1
