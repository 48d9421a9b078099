"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

RUNS = Path("runs")
"""Where studies lie unless ``--root`` says otherwise."""


def _studies_that_begin(typed: str) -> list[str]:
    """For the shell's completion: the built-in studies and those under ``runs``."""
    from autorf.study import builtin

    own = [path.parent.name for path in RUNS.glob("*/study.db")]
    return sorted(name for name in {*builtin.names("studies"), *own} if name.startswith(typed))


def patterns_that_begin(typed: str) -> list[str]:
    """For the shell's completion: the published patterns."""
    from autorf.deployment.patterns import published

    return [name for name in published() if name.startswith(typed)]


Study = Annotated[
    str,
    typer.Argument(
        help="A study file, or the name of a built-in study (see: autorf studies).", autocompletion=_studies_that_begin
    ),
]
Model = Annotated[
    str,
    typer.Argument(
        help="largefov:BACKBONE, smp:ARCH:ENCODER, timm:NAME, torchvision:NAME, hf:NAME, paper:NAME, or "
        "python:FILE.py:NAME for your own."
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="An option of the model, such as output_stride=8; repeatable."),
]
ImageSide = Annotated[str, typer.Option(help="Side of the image in pixels, or HEIGHTxWIDTH.")]
ModelFormat = Annotated[str, typer.Option(help="table or json.")]


def path_of(text: str | Path) -> Path:
    """A path that was typed.

    Raises:
        typer.BadParameter: where nothing was.
    """
    # A default comes as it is.
    if isinstance(text, str) and not text.strip():
        raise typer.BadParameter("is empty; name a file or folder, or leave the option out")
    return Path(text)


DIR: dict[str, Any] = {"parser": path_of, "metavar": "DIR"}
FILE: dict[str, Any] = {"parser": path_of, "metavar": "FILE"}
"""Of options that name a folder, and a file."""

Root = Annotated[Path, typer.Option(**DIR, help="Folder of all studies and of mlflow.db.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override a value of the study file; repeatable.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print problems and the result only.")]
TrialKey = Annotated[str | None, typer.Option("--trial", help="A trial's key or its beginning; the winner without.")]
CodeChange = Annotated[
    bool, typer.Option("--accept-code-change", help="Keep the trials of a study whose own code has changed.")
]
