"""A network and a data set in two files of one's own, through every command, killed, and on a second Ray node.

    python benchmarks/own_code.py --output benchmarks/results/own_code.md

``examples/own_code`` is copied and searched by local workers, killed with SIGKILL and resumed; then on a Ray cluster of
two nodes, where both files are renamed as soon as trials run, so that only what the driver has read is left. Every
trial must end, with the bits of a search that nothing happened to; then compare, report, retrain and export must do
their work, and a changed file must be refused.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

from autorf.store.record import Record
from autorf.store.store import open_store

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_code"
NAME, FILES = "own_code", ("net.py", "data.py")
Row = tuple[str, str, bool]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = _rows(Path(folder))
    lines = ["# Own code through every command", "", "| what was done | what came of it |", "|---|---|"]
    text = "\n".join([*lines, *(f"| {done} | {came} |" for done, came, _ in rows)]) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    return 0 if all(right for _, _, right in rows) else 1


def _rows(folder: Path) -> list[Row]:
    code = folder / "code"
    shutil.copytree(EXAMPLE, code)
    undisturbed, _ = _finished(_command("search", code, folder / "undisturbed"))
    assert undisturbed == 0
    expected = _complete(folder / "undisturbed")
    killed = folder / "killed"
    return [
        _killed(code, killed, expected),
        _second_node(code, folder / "ray", expected),
        _says("compare", killed, "At equal steps"),
        _says("report", killed, "report.html"),
        _says("retrain", killed, "on the test split"),
        _says("export", killed, "scores differ by", "--format", "torch"),
        _changed(code, killed),
    ]


def _killed(code: Path, root: Path, expected: dict[str, Record]) -> Row:
    search = _command("search", code, root)
    _until(lambda: any(record.history and record.state == "running" for record in _records(root)), search)
    search.send_signal(signal.SIGKILL)
    search.wait()
    before = len(_complete(root))
    _finished(_command("search", code, root))
    same = _same(root, expected)
    return (
        "killed by SIGKILL while it trained, resumed",
        f"{before} then {same} of {len(expected)} trials with the bits of the undisturbed search",
        same == len(expected),
    )


def _second_node(code: Path, root: Path, expected: dict[str, Record]) -> Row:
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    search = _command(
        "search",
        code,
        root,
        "--set",
        "executor.kind=ray",
        "--set",
        f"executor.address={cluster.address}",
        "--set",
        "executor.workers=2",
    )
    _until(lambda: sum(record.state == "running" for record in _records(root)) == 2, search)
    for name in FILES:
        (code / name).rename(code / f"{name}.gone")
    _finished(search)
    cluster.shutdown()
    for name in FILES:
        (code / f"{name}.gone").rename(code / name)
    same = _same(root, expected)
    return (
        "two Ray nodes, both files renamed when two trials ran",
        f"{same} of {len(expected)} with the same bits",
        same == len(expected),
    )


def _says(command: str, root: Path, words: str, *more: str) -> Row:
    status, output = _finished(_command(command, None, root, *more))
    line = next((line.strip() for line in output.splitlines() if words in line), output[-200:])
    return f"`autorf {command} {NAME}`", line[:150].replace(str(root), "RUNS"), status == 0 and words in output


def _changed(code: Path, root: Path) -> Row:
    path = code / "net.py"
    path.write_text(path.read_text().replace("width: int = 8", "width: int = 12"))
    status, output = _finished(_command("search", code, root))
    accepted, _ = _finished(_command("search", code, root, "--accept-code-change"))
    return "a changed net.py; then `--accept-code-change`", output.splitlines()[-1], status == 2 and accepted == 0


def _command(command: str, code: Path | None, root: Path, *more: str) -> "subprocess.Popen[str]":
    study = NAME if code is None else str(code / "study.yaml")
    line = [sys.executable, "-c", "from autorf.cli import main; main()", command, study, "--root", str(root), *more]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finished(process: "subprocess.Popen[str]") -> tuple[int, str]:
    output = process.communicate(timeout=900)[0]
    return process.returncode, output


def _until(condition: Callable[[], bool], search: "subprocess.Popen[str]") -> None:
    while not condition():
        if search.poll() is not None:
            raise SystemExit(search.communicate()[0])
        time.sleep(0.1)


def _records(root: Path) -> list[Record]:
    return open_store(root, NAME).records() if (root / NAME / "study.db").exists() else []


def _complete(root: Path) -> dict[str, Record]:
    return {record.key: record for record in _records(root) if record.state == "complete"}


def _same(root: Path, expected: dict[str, Record]) -> int:
    """How many trials have the result, bit for bit, of those that nothing happened to."""
    return sum(
        record.result is not None
        and other.result is not None
        and record.result.iou_per_class == other.result.iou_per_class
        for key, record in _complete(root).items()
        if (other := expected.get(key)) is not None
    )


if __name__ == "__main__":
    sys.exit(main())
