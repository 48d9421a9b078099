"""``call(function, *arguments)``: what compilers run as it is instead of looking into it.

What is drawn or learned anew in every step would have its values compiled in, and be compiled again in every step.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        """``function(*arguments)``."""


def __getattr__(name: str) -> Any:
    # Made when a compiler first asks: it is loaded then, which takes seconds that others should not wait for.
    if name != "call":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    reason = "autorf resizes or draws anew in every step; compile without fullgraph=True, or freeze the model first"
    globals()["call"] = torch.compiler.disable(lambda function, *arguments: function(*arguments), reason=reason)
    return globals()["call"]
