"""Which versions of Python and of the libraries a study ran with."""

import platform
from importlib.metadata import PackageNotFoundError, version

from autorf import __version__
from autorf.store.store import Store

LIBRARIES = (
    "torch", "torchvision", "timm", "segmentation-models-pytorch", "transformers", "lightning", "optuna", "ray",
    "mlflow", "numpy", "scipy",
)  # fmt: skip
NOTE = "versions"


def versions() -> dict[str, str]:
    """Versions by name, of what is installed here."""
    installed = {"autorf": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            installed[library] = version(library)
        except PackageNotFoundError:
            continue
    return installed


def remember_versions(store: Store) -> None:
    """Note the present versions with the study, beside the earlier ones where they changed."""
    noted, now = store.notes().get(NOTE) or [], versions()
    if now not in noted:
        store.note(NOTE, [*noted, now])
