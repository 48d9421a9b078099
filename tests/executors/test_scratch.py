import subprocess
import sys
from pathlib import Path

from autorf.executors.scratch import Scratch

KILLED = "import sys, os, pathlib; from autorf.executors.scratch import Scratch; \
Scratch(pathlib.Path(sys.argv[1]), 'ours-'); os.kill(os.getpid(), 9)"


def test_a_folder_whose_owner_was_killed_goes_with_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "ours-foreign").mkdir()
    living = Scratch(tmp_path, "ours-")
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, cwd=Path(__file__).parents[2])
    assert len(list(tmp_path.iterdir())) == 3
    other = Scratch(tmp_path, "ours-")
    assert set(tmp_path.iterdir()) == {tmp_path / "ours-foreign", living.path, other.path}
    for scratch in (living, other):
        scratch.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["ours-foreign"]
