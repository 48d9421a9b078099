"""Where a study's results are mirrored."""

from typing import Annotated

from pydantic import AfterValidator, Field

from autorf.specification import Specification, WholeNumber


def _mlflow_uri(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    if not uri.startswith("databricks") and (not separator or not rest or scheme == "file"):
        raise ValueError(
            "an MLflow address such as https://mlflow.example.org, or a database such as sqlite:///mlflow.db; "
            "MLflow 3 keeps runs in plain folders no more"
        )
    return uri


class TrackingSpec(Specification):
    """Where MLflow's mirror of the study lives.

    Attributes:
        uri: an MLflow tracking URI, or None for ``mlflow.db`` under the root.
        system_metrics: record processor, memory, disk, network and GPU use on the study's run.
        keep: of how many of the best manual and of the best learned trials the weights are mirrored.
    """

    uri: Annotated[str, AfterValidator(_mlflow_uri)] | None = None
    system_metrics: bool = False
    keep: Annotated[WholeNumber, Field(ge=0)] = 1
