import subprocess
import sys
import zipfile
from pathlib import Path

from autorf.study import builtin

ROOT = Path(__file__).parents[1]


def test_the_wheel_ships_studies_search_spaces_and_types_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for kind in ("studies", "search_spaces"):
        shipped = {Path(name).stem for name in names if name.startswith(f"autorf/_builtin/{kind}/")}
        assert shipped == set(builtin.names(kind))  # type: ignore[arg-type]
    assert "autorf/py.typed" in names
    assert {f"autorf/reporting/templates/report.{kind}" for kind in ("html.j2", "css")} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"autorf"}
