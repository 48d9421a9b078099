"""The quickstart, shortened, on a Ray cluster of two nodes, of which the second is killed while it trains.

    python benchmarks/ray_two_nodes.py --output benchmarks/results/ray_two_nodes.md

The study must end complete, and with the bits of a run by local workers.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

from autorf.store.record import Record
from autorf.store.store import open_store
from autorf.training.results import TrialResult

SHORTENED = ["training.epochs=3", "data.n_train=96", "data.n_val=24", "data.n_test=0"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text, passed = _compare(Path(folder))
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    return 0 if passed else 1


def _compare(folder: Path) -> tuple[str, bool]:
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    second = cluster.add_node(**node)
    search = _search(folder / "ray", ["executor.kind=ray", f"executor.address={cluster.address}"])
    _until_both_train(folder / "ray", search)
    cluster.remove_node(second, allow_graceful=False)
    output = search.communicate(timeout=600)[0]
    cluster.shutdown()
    assert search.returncode == 0, output
    local = _search(folder / "local", ["executor.workers=2"])
    assert local.wait(600) == 0
    return _table(open_store(folder / "ray", "quickstart").attempts(), _results(folder / "local"))


def _search(root: Path, settings: list[str]) -> "subprocess.Popen[str]":
    sets = [part for setting in [*SHORTENED, *settings] for part in ("--set", setting)]
    command = [sys.executable, "-c", "from autorf.cli import main; main()", "search", "quickstart", "--root", str(root)]
    return subprocess.Popen([*command, *sets], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _until_both_train(root: Path, search: "subprocess.Popen[str]") -> None:
    while search.poll() is None:
        time.sleep(0.2)
        if (root / "quickstart" / "study.db").exists():
            records = open_store(root, "quickstart").records()
            if sum(bool(record.history) and record.state == "running" for record in records) == 2:
                return
    raise SystemExit(search.communicate()[0])


def _results(root: Path) -> dict[str, TrialResult]:
    return {record.key: record.result for record in open_store(root, "quickstart").records()}


def _table(attempts: list[Record], expected: dict[str, TrialResult]) -> tuple[str, bool]:
    complete = {record.key: record for record in attempts if record.state == "complete"}
    same = sum(complete[key].result.iou_per_class == expected[key].iou_per_class for key in complete)
    lost = [record for record in attempts if record.state == "failed"]
    rows = {
        "trials complete": f"{len(complete)} of {len(expected)}",
        "with the bits of local workers": same,
        "attempts": len(attempts),
        "ended by the node's death": "; ".join(f"{one.label} after {len(one.history)} epochs" for one in lost),
        "their reason": "; ".join(sorted({str(one.reason) for one in lost})),
        "went on with epoch": "; ".join(
            str(next(r.history[0].epoch + 1 for r in attempts if r.key == one.key and r.attempt == one.attempt + 1))
            for one in lost
        ),
    }
    lines = [f"# The quickstart ({', '.join(SHORTENED)}) on two Ray nodes, the second killed", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join(lines) + "\n", len(complete) == same == len(expected) and bool(lost)


if __name__ == "__main__":
    sys.exit(main())
