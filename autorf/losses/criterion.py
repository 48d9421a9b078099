"""The loss of a training, made from what its study file says."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.errors import InputError, a_type, in_one_line
from autorf.losses.contextual import ContextualLoss
from autorf.losses.functions import cross_entropy, dice, focal, lovasz, tversky
from autorf.losses.spec import LOSSES, LossSpec, LossTerm
from autorf.own_code.importing import call, named_parameters, required_arguments, resolve, said_by
from autorf.own_code.reference import is_reference, parse_reference

_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": cross_entropy,
    "dice": dice,
    "focal": focal,
    "tversky": tversky,
    "lovasz": lovasz,
}
_OPTIONS = ("label_smoothing", "gamma", "alpha", "beta")
_MEANS_OF_PIXELS = ("cross_entropy", "contextual")

Features = Mapping[str, Tensor]
"""Inputs ``(N, D, h, w)`` of layers, by the layers' names."""


class Criterion(nn.Module):
    """The weighted sum of a study's losses, over the labelled pixels of a batch.

    Its state is the centres of ``contextual`` losses, which :meth:`update` moves, and what losses of the user's own or
    of packages hold that are modules; their parameters are trained with the network's.

    Args:
        spec: the losses.
        n_classes: of the data.
        ignored: the mask's value of pixels without a label.
        class_weights: ``(n_classes,)``, or None.
        widths: the channels that go into the layers which the losses name.

    Raises:
        InputError: when a loss of another package cannot be built.

    Examples:
        >>> criterion = Criterion(LossSpec.model_validate(["cross_entropy", {"name": "dice", "weight": 0.5}]), 3, 255)
        >>> criterion(torch.zeros(1, 3, 2, 2), torch.tensor([[[0, 1], [2, 255]]])).item() > 1
        True
    """

    def __init__(
        self,
        spec: LossSpec,
        n_classes: int,
        ignored: int,
        class_weights: Tensor | None = None,
        widths: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.spec, self.n_classes, self.ignored, self.class_weights = spec, n_classes, ignored, class_weights
        self.widths = widths or {}
        self.contextual, self.own = nn.ModuleList(), nn.ModuleList()
        self._terms = [(term.weight, self._term(term)) for term in spec.listed]

    @property
    def is_mean_of_pixels(self) -> bool:
        """Whether every loss is a sum over pixels divided by the sum of their weights."""
        return all(term.name in _MEANS_OF_PIXELS for term in self.spec.listed)

    def forward(self, scores: Tensor, mask: Tensor, features: Features | None = None) -> Tensor:
        """The loss of a batch with a labelled pixel.

        Args:
            scores: ``(N, C, H, W)``, ``C`` the number of classes or more, or 1 for two classes.
            mask: ``(N, H, W)``, classes or ``ignored``.
            features: what goes into the layers that the losses name.
        """
        losses = [
            weight
            * (term(scores, mask, _of(term, features)) if isinstance(term, ContextualLoss) else term(scores, mask))
            for weight, term in self._terms
        ]
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def update(self, scores: Tensor, mask: Tensor, features: Features | None = None) -> None:
        """Have what the losses learn themselves take its step, by this process's part of a batch."""
        for loss in self.contextual:
            assert isinstance(loss, ContextualLoss)
            loss.update(scores.detach(), mask, _of(loss, features))

    @property
    def centres(self) -> tuple[Tensor, Tensor] | None:
        """The centres of the first contextual loss and their squared distances; None without one."""
        loss = next(iter(self.contextual), None)
        return (loss.centres, loss.distances()) if isinstance(loss, ContextualLoss) else None

    def counted(self, mask: Tensor) -> Tensor:
        """What each pixel ``(N, H, W)`` counts in a mean over pixels: its class's weight, 0 without a label."""
        labelled = mask != self.ignored
        if self.class_weights is None:
            return labelled
        return self._weights(mask)[mask.where(labelled, 0)] * labelled

    def pixel_sums(self, scores: Tensor, mask: Tensor, features: Features | None = None) -> tuple[Tensor, Tensor]:
        """Each loss as a sum over pixels, and the sum of their weights, by which it is divided: both ``(losses,)``."""
        parts = [
            self._pixel_sum(*pair, scores, mask, features) for pair in zip(self.spec.listed, self._terms, strict=True)
        ]
        sums, counts = zip(*parts, strict=True)
        return torch.stack(sums), torch.stack(counts)

    def _pixel_sum(
        self,
        spec: LossTerm,
        weighted: tuple[float, Callable[..., Tensor]],
        scores: Tensor,
        mask: Tensor,
        features: Features | None,
    ) -> tuple[Tensor, Tensor]:
        weight, term = weighted
        if isinstance(term, ContextualLoss):
            total, count = term.pixel_sum(scores, mask, _of(term, features))
            return weight * total, count
        weights = self._optional_weights(scores)
        total = cross_entropy(scores, mask, self.ignored, weights, spec.label_smoothing, reduction="sum")
        return weight * total, self.counted(mask).sum().to(total.dtype)

    def _term(self, term: LossTerm) -> Callable[..., Tensor]:
        if term.name == "contextual":
            return self._contextual(term)
        if term.name not in _FUNCTIONS:
            return self._of_package(term)
        given = {name: getattr(term, name) for name in _OPTIONS}
        defaults = LossTerm.model_fields
        options = {name: value for name, value in given.items() if value != defaults[name].default}
        return partial(self._built_in, _FUNCTIONS[term.name], options)

    def _built_in(
        self, function: Callable[..., Tensor], options: dict[str, Any], scores: Tensor, mask: Tensor
    ) -> Tensor:
        weights = self._optional_weights(scores)
        if function is cross_entropy:
            return function(scores, mask, self.ignored, weights, **options)
        # Sums over all pixels of a batch need more than half precision.
        with torch.autocast(scores.device.type, enabled=False):
            scores = scores if scores.dtype == torch.float64 else scores.float()
            return function(scores, mask, self.ignored, weights, **options)

    def _contextual(self, term: LossTerm) -> ContextualLoss:
        spec = term.contextual()
        width = None if spec.layer is None else self.widths.get(spec.layer)
        loss = ContextualLoss(self.n_classes, self.ignored, spec, self.class_weights, width)
        self.contextual.append(loss)
        return loss

    def _of_package(self, term: LossTerm) -> Callable[[Tensor, Tensor], Tensor]:
        loss = self._of_user(term) if is_reference(term.name) else self._built_by_package(term)
        if isinstance(loss, nn.Module):
            self.own.append(loss)
        return partial(own_loss, term.name, loss)

    def _built_by_package(self, term: LossTerm) -> Callable[[Tensor, Tensor], Any]:
        try:
            loss = LOSSES[term.name](self.n_classes, self.ignored, self.class_weights, **term.args)
        except (TypeError, ValueError) as error:
            raise InputError(f"training.loss: {term.name} cannot be built: {in_one_line(error, 200)}") from None
        if not callable(loss):
            raise InputError(f"training.loss: {term.name} built {a_type(loss)}; a loss is called with scores and mask")
        return loss

    def _of_user(self, term: LossTerm) -> Callable[[Tensor, Tensor], Any]:
        reference, field = parse_reference(term.name), "training.loss"
        offered = {"n_classes": self.n_classes, "ignore_index": self.ignored, "class_weights": self.class_weights}
        function = resolve(reference, field)
        taken = offered.keys() & named_parameters(function)
        if self.class_weights is not None and "class_weights" not in taken:
            raise InputError(
                f"training.class_weights: {term.name} takes no class_weights; add that argument, or leave them out"
            )
        args = {**{name: offered[name] for name in taken}, **term.args}
        missing = required_arguments(function) - args.keys()
        if missing:
            raise InputError(
                f"{field}: {term.name} needs {', '.join(sorted(missing))}: give them in args; where it is the loss "
                "itself, name a function without arguments that returns it, which is called once"
            )
        loss = call(reference, field, **args)
        if not callable(loss):
            raise InputError(
                f"{field}: {term.name} returned {a_type(loss)}; called with args, it returns what is called "
                "with scores and mask"
            )
        return loss

    def _weights(self, like: Tensor) -> Tensor:
        assert self.class_weights is not None
        self.class_weights = self.class_weights.to(like.device)
        return self.class_weights

    def _optional_weights(self, scores: Tensor) -> Tensor | None:
        """The weights of all channels; a network may have more of them than there are classes."""
        if self.class_weights is None:
            return None
        weights = self._weights(scores)
        more = scores.shape[1] - len(weights)
        return functional.pad(weights, (0, more)) if more > 0 else weights


def _of(loss: ContextualLoss, features: Features | None) -> Tensor | None:
    """The input of the layer that a loss names."""
    return None if loss.spec.layer is None else (features or {}).get(loss.spec.layer)


def own_loss(name: str, loss: Callable[[Tensor, Tensor], Any], scores: Tensor, mask: Tensor) -> Tensor:
    """What a loss from elsewhere says of a batch.

    Raises:
        InputError: when that is no single number with a gradient.
    """
    try:
        value = loss(scores, mask)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"training.loss: {name} failed: {said_by(error)}") from error
    if not isinstance(value, Tensor) or value.dim():
        what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else a_type(value)
        raise InputError(f"training.loss: {name} returned {what}; a loss returns one number, a tensor of no dimension")
    if scores.requires_grad and not value.requires_grad:
        raise InputError(
            f"training.loss: {name} returned a number without a gradient; compute it from the scores by torch's "
            "operations, without detach(), item() or argmax()"
        )
    return value
