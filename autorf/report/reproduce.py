"""How to get the same results again: the study file, the commands and the versions."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import yaml

from autorf.report.blocks import Code
from autorf.report.results import StudyResults

LIBRARIES = (
    "autorf", "torch", "torchvision", "timm", "segmentation-models-pytorch", "lightning", "optuna", "ray", "mlflow",
    "numpy",
)  # fmt: skip


def reproduction(results: StudyResults) -> Iterator[Code]:
    """Texts to copy; none for a study that never began."""
    if results.spec is None:
        return
    name = results.name
    yield Code(
        f"Study file: save as {name}.yaml",
        yaml.safe_dump(dict(results.spec), sort_keys=False, default_flow_style=None, width=100),
    )
    commands = (f"search {name}.yaml", f"compare {name}", f"report {name}")
    yield Code("Commands", "\n".join(f"autorf {command}" for command in commands))
    yield Code("Versions where this report was made", "\n".join(versions()))


def versions() -> Iterator[str]:
    """Python's version and those of the libraries that results depend on."""
    yield f"python {platform.python_version()}"
    for library in LIBRARIES:
        try:
            yield f"{library} {version(library)}"
        except PackageNotFoundError:
            continue
