"""Published weights, from the cache or the network; one quick line where there is neither."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from torch import nn

from autorf.errors import InputError

PATIENCE = 5.0
"""Seconds to wait for a sign of life of the hub."""


def fetching(make: Callable[[], nn.Module], what: str, *, field: str, repair: str, from_hub: bool = True) -> nn.Module:
    """Run ``make``, which needs files from a cache or the network.

    Args:
        make: builds the model.
        what: is fetched, for the message.
        field: the setting that asked for it.
        repair: what a user without a network can do instead.
        from_hub: whether the files are on the Hugging Face hub, whose client on its own would go on trying for almost
            a minute where there is no network.

    Raises:
        InputError: where something could not be fetched, whatever the client logs and raises for it.
    """
    with _hub() if from_hub else nullcontext() as unreachable:
        try:
            return make()
        except InputError:
            raise
        except Exception as error:
            absent = unreachable is not None and isinstance(error, OSError)
            reason = f"not in the cache, and {unreachable}" if absent else one_line(error)
            raise InputError(
                f"{field}: the {what} could not be loaded ({reason}); "
                f"connect to the network, fill the cache beforehand, or {repair}"
            ) from error


def one_line(error: Exception) -> str:
    """The first line of what an error says."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


@contextmanager
def _hub() -> Iterator[str | None]:
    """The hub's client, quiet, and confined to its cache where the hub does not answer; yields why it does not."""
    from huggingface_hub import constants

    logger = logging.getLogger("huggingface_hub")
    level, offline = logger.level, constants.HF_HUB_OFFLINE
    logger.setLevel(logging.ERROR)
    try:
        unreachable = _unreachable(constants.ENDPOINT)
        constants.HF_HUB_OFFLINE = offline or unreachable is not None
        yield unreachable
    finally:
        constants.HF_HUB_OFFLINE = offline
        logger.setLevel(level)


def _unreachable(endpoint: str) -> str | None:
    from huggingface_hub import get_session

    try:
        # The client's own session, so that its proxies and certificates apply; any answer is a sign of life.
        get_session().head(endpoint, timeout=PATIENCE)
    except Exception as error:
        return f"{endpoint} cannot be reached: {one_line(error)}"
    return None
