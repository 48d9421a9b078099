"""Networks of libraries made with what a study gives them; what fails becomes one line."""

from collections.abc import Callable, Sequence

from torch import nn

from autorf.errors import InputError
from autorf.networks.arguments import refused
from autorf.networks.spec import ModelSpec
from autorf.networks.weights import fetching


def given(make: Callable[[], nn.Module], spec: ModelSpec, taken: Callable[[], Sequence[str]] = lambda: ()) -> nn.Module:
    """A network with its published weights and ``model.args``; what it says against these becomes one line.

    Args:
        make: builds the network.
        spec: of the network.
        taken: the arguments that its constructor takes, for near names.

    Raises:
        InputError: for weights that cannot be had, or arguments that the constructor refuses.
    """
    try:
        return with_weights(make, spec)
    except InputError as error:
        if spec.args and isinstance(error.__cause__, TypeError):
            raise refused(spec, error.__cause__, taken()) from None
        raise
    except Exception as error:
        if not spec.args:
            raise
        raise refused(spec, error, taken()) from None


def with_weights(make: Callable[[], nn.Module], spec: ModelSpec) -> nn.Module:
    """Run ``make``; weights that cannot be had become one line."""
    if not spec.pretrained:
        return make()
    where = {"field": "model.pretrained", "repair": "set pretrained: false"}
    return fetching(make, f"weights of {spec.name}", **where, from_hub=not spec.name.startswith("torchvision:"))
