"""Installs the package of somebody else, or any, by what pip would leave behind."""

from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent

THEIRS = {
    "autorf.methods": ("two_rates = theirs.two_rates:TwoRates", "doubling = theirs.doubling:Doubling"),
    "autorf.models": ("plain = theirs.network:build",),
    "autorf.data": ("stripes = theirs.stripes:Stripes",),
    "autorf.figures": ("seeds = theirs.figure:SEEDS",),
    "autorf.executors": ("one_by_one = theirs.executor:make",),
}


def install(folder: Path, package: str, lines: Mapping[str, tuple[str, ...]]) -> None:
    """Have ``folder``, on the path, hold a package's entry points."""
    information = folder / f"{package}-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    sections = (f"[{group}]\n" + "\n".join(points) for group, points in lines.items())
    (information / "entry_points.txt").write_text("\n\n".join(sections) + "\n")


def path_with_theirs(folder: Path) -> str:
    """A PYTHONPATH on which that package is installed."""
    install(folder, "theirs", THEIRS)
    return ":".join([str(folder), str(HERE), str(HERE.parents[1])])
