"""How to get the same results again: the study file, the commands and the versions."""

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

import yaml

from autorf import __version__
from autorf.report.blocks import Code
from autorf.report.findings import Findings

LIBRARIES = (
    "torch", "torchvision", "timm", "segmentation-models-pytorch", "lightning", "optuna", "ray", "mlflow",
    "numpy",
)  # fmt: skip


def reproduction(all_found: Sequence[Findings]) -> Iterator[Code]:
    """Texts to copy; none for a study that never began."""
    studies = [study for found in all_found for study in found.studies if study.spec]
    names = [study.name for study in studies]
    for study in studies:
        text = yaml.safe_dump(dict(study.spec), sort_keys=False, default_flow_style=None, width=100)
        yield Code(f"Study file: save as {study.name}.yaml", text)
    if names:
        together = " ".join(names)
        output = " --output report.html" if len(names) > 1 else ""
        commands = [*(f"search {name}.yaml" for name in names), f"compare {together}", f"report {together}{output}"]
        yield Code("Commands", "\n".join(f"autorf {command}" for command in commands))
        yield Code("Versions where this report was made", "\n".join(versions()))


def versions() -> Iterator[str]:
    """Python's version and those of the libraries that results depend on."""
    yield f"autorf {__version__}"
    yield f"python {platform.python_version()}"
    for library in LIBRARIES:
        try:
            yield f"{library} {version(library)}"
        except PackageNotFoundError:
            continue
