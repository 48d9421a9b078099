"""Whether a program is being exported, which ``torch.compile`` is not."""

import torch


@torch.compiler.assume_constant_result
def is_exporting() -> bool:
    """Whether ``torch.export`` traces what is run; False under ``torch.compile``.

    Torch's own function asked by name is True under ``torch.compile`` too in torch 2.10, so the compiler is given the
    answer instead of the question.
    """
    return torch.compiler.is_exporting()  # noqa: TID251
