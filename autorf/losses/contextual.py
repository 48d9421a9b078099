"""The statistical contextual loss: pixels are drawn to the centre of their class, and centres are pushed apart."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from autorf.errors import InputError
from autorf.losses.contextual_spec import ContextualSpec
from autorf.methods.labels import nearest
from autorf.methods.processes import in_parallel


class ContextualLoss(nn.Module):
    """Half the squared distance of each labelled pixel from its class's centre, and what is lacking between centres.

    The paper adds both this and cross-entropy up over pixels; here both are means over pixels, so that its weight of
    0.01 means the same. The term between centres has no gradient to the network: it moves the centres, and these draw
    the pixels after them. Centres are no parameters of an optimizer: :meth:`update` takes their step, in every process
    with its own part of a batch. They begin at 0, and one that no pixel has formed yet is pushed by none.

    Paper: Wei et al., *Accurate facial image parsing at real-time speed*, 2019, Eqs. 2 to 7.

    Args:
        n_classes: how many classes, and so centres, there are.
        ignored: the mask's value of pixels without a label.
        spec: the switches.
        class_weights: ``(n_classes,)``, by which pixels count in the mean; those of a class of weight 0 take no part
            at all. None: all alike.
        dimensions: channels of what has the centres; None for ``n_classes``, class scores.

    Attributes:
        centres: ``(n_classes, dimensions)``, part of the state.

    Raises:
        InputError: for centres that are not one a class, or class scores of another number.

    Examples:
        >>> loss = ContextualLoss(n_classes=3, ignored=255)
        >>> scores, mask = torch.randn(2, 3, 8, 8, requires_grad=True), torch.randint(0, 3, (2, 8, 8))
        >>> value = functional.cross_entropy(scores, mask) + 0.01 * loss(scores, mask)
        >>> value.backward()
        >>> loss.update(scores, mask)  # once a step
        >>> loss.centres.shape
        torch.Size([3, 3])
    """

    centres: Tensor
    class_weights: Tensor | None

    def __init__(
        self,
        n_classes: int,
        ignored: int,
        spec: ContextualSpec | None = None,
        class_weights: Tensor | None = None,
        dimensions: int | None = None,
    ) -> None:
        super().__init__()
        self.ignored, self.spec = ignored, ContextualSpec() if spec is None else spec
        width = n_classes if dimensions is None else dimensions
        if self.spec.layer is None and width != n_classes:
            raise InputError(f"training.loss: contextual: {n_classes} classes have {n_classes} scores, not {width}")
        if self.spec.layer is not None and dimensions is None:
            raise InputError(
                f"training.loss: contextual: how many channels go into {self.spec.layer} is not given (dimensions)"
            )
        if class_weights is not None and class_weights.shape != (n_classes,):
            raise InputError(
                f"training.loss: contextual: {len(class_weights)} class weights for {n_classes} classes; give one each"
            )
        self.register_buffer("centres", torch.zeros(n_classes, width))
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, scores: Tensor, mask: Tensor, features: Tensor | None = None) -> Tensor:
        """The loss of a batch, 0 without a labelled pixel.

        Args:
            scores: ``(N, n_classes, H, W)``.
            mask: ``(N, H, W)``, classes or ``ignored``.
            features: ``(N, dimensions, h, w)``, the input of the ``layer``; its pixels take the nearest labels.
        """
        total, count = self.pixel_sum(scores, mask, features)
        return total / torch.where(count > 0, count, 1)

    def pixel_sum(self, scores: Tensor, mask: Tensor, features: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The loss as a sum over pixels, and what their weights add up to, by which it is divided."""
        with torch.autocast(scores.device.type, enabled=False):
            x, _, labels, weights = self._pixels(scores, mask, features)
            centres = self.centres.to(x.dtype)
            own = centres.t().contiguous().index_select(1, labels.flatten()).unflatten(1, labels.shape)
            within: Tensor = _HalfSquares.apply(x, own.movedim(1, 0), weights)
            count = weights.sum()
            return within + count * self._between(centres), count

    @torch.no_grad()
    def update(self, scores: Tensor, mask: Tensor, features: Tensor | None = None) -> None:
        """Take one step of the centres by a batch, of which several processes each bring their part.

        ``centres - centre_lr * (delta + gradient)``, with the delta of Eq. 2 or 5 and the gradient of the term between
        centres, Eq. 4 or 6, and of the decay, Eq. 7. A batch without a labelled pixel moves nothing.
        """
        with torch.autocast(scores.device.type, enabled=False):
            x, scores, labels, weights = self._pixels(scores, mask, features)
            centres = self.centres.to(x.dtype)
            moving = self._moving(scores, labels, weights > 0).to(x.dtype)
            members = x.new_zeros(len(x), len(centres), labels[0].numel())
            members.scatter_(1, labels.flatten(1)[:, None], moving.flatten(1)[:, None])
            sums = torch.bmm(members, x.flatten(2).transpose(1, 2)).sum(0)
            counts, labelled = members.sum((0, 2)), (weights > 0).sum().to(x.dtype)
            whole = _summed(torch.cat([sums, counts[:, None], labelled.expand(len(counts), 1)], 1))
            sums, counts, labelled = whole[:, :-2], whole[:, -2:-1], whole[:, -1:]
            delta = (counts * centres - sums) / (1 + counts)
            moved = centres - self.spec.centre_lr * (delta + self._gradient(centres))
            self.centres.copy_(torch.where(labelled > 0, moved, centres))

    @torch.no_grad()
    def distances(self) -> Tensor:
        """Squared distances ``(n_classes, n_classes)`` of every two centres, as the term between them has them.

        Of ``class_aware`` by the two classes' own components, Eq. 6, else by all, Eq. 4; nan for a class whose centre
        no pixel has formed.
        """
        apart = self._class_aware(self.centres) if self.spec.class_aware else _squared_distances(self.centres)
        formed = (self.centres != 0).any(1)
        return apart.masked_fill(~(formed[:, None] & formed), torch.nan)

    def _pixels(self, scores: Tensor, mask: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What has centres, ``(N, D, h, w)``; the scores at its pixels; their labels and weights ``(N, h, w)``."""
        n_classes = len(self.centres)
        if scores.shape[1] != n_classes:
            raise InputError(
                f"training.loss: contextual has {n_classes} centres, one a class, and the network gives "
                f"{scores.shape[1]} scores a pixel; give a network with a channel a class"
            )
        x = scores = _precise(scores)
        if self.spec.layer is not None:
            x = self._checked(features)
            mask, scores = nearest(mask, x.shape[2:]), nearest(scores, x.shape[2:])
        labelled = mask != self.ignored
        labels = mask.where(labelled, 0)
        if self.class_weights is None:
            return x, scores, labels, labelled.to(x.dtype)
        return x, scores, labels, self.class_weights.to(x.dtype)[labels] * labelled

    def _checked(self, features: Tensor | None) -> Tensor:
        width = self.centres.shape[1]
        if features is None or features.dim() != 4 or features.shape[1] != width:
            got = "nothing" if features is None else f"shape {tuple(features.shape)}"
            raise InputError(
                f"training.loss: contextual needs a map (N, {width}, h, w) that goes into the layer "
                f"{self.spec.layer}, got {got}; name a convolution that every image passes once, or leave layer out"
            )
        return _precise(features)

    def _moving(self, scores: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
        """Which pixels ``(N, h, w)`` move the centre of their class."""
        if not self.spec.hard_aware:
            return labelled
        losses = functional.cross_entropy(scores, labels, reduction="none")
        # Summed one by one: in single precision a class's count would stop at 2**24.
        totals = _summed(torch.stack([self._by_class(losses * labelled, labels), self._by_class(labelled, labels)]))
        means = (totals[0] / totals[1].clamp(min=1)).to(losses.dtype)
        return labelled & (losses < means[labels])

    def _by_class(self, values: Tensor, labels: Tensor) -> Tensor:
        """The sum of ``values (N, h, w)`` over each class's pixels, ``(n_classes,)``."""
        sums = torch.zeros(len(self.centres), dtype=torch.float64, device=values.device)
        return sums.index_add_(0, labels.flatten(), values.flatten().double())

    def _between(self, centres: Tensor) -> Tensor:
        """What centres lack of the margin between them, over those that some pixel has formed."""
        if not self.spec.inter:
            return centres.new_zeros(())
        formed = (centres != 0).any(1)
        pairs = (formed[:, None] & formed).triu(1)
        if self.spec.class_aware:
            return (functional.relu(self.spec.margin - self._class_aware(centres)) * pairs).sum()
        return functional.relu(self.spec.margin - _closest(centres, pairs)) * pairs.any()

    @staticmethod
    def _class_aware(centres: Tensor) -> Tensor:
        own = (centres.diagonal()[:, None] - centres.t()).square()
        return own + own.t()

    def _gradient(self, centres: Tensor) -> Tensor:
        """Of the term between centres and of the decay, by the centres."""
        decaying = torch.ones_like(centres)
        if self.spec.centre_decay:
            decaying = (centres > 0).to(centres).fill_diagonal_(0)
        gradient = 2 * self.spec.decay_rate * centres * decaying
        if not self.spec.inter:
            return gradient
        with torch.enable_grad():
            leaf = centres.clone().requires_grad_()
            return gradient + torch.autograd.grad(self._between(leaf), leaf)[0]


class _HalfSquares(torch.autograd.Function):
    """``Σ weights |x - centres|² / 2`` over pixels, with a gradient to ``x`` alone, in a third of autograd's passes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, centres: Tensor, weights: Tensor) -> Tensor:
        apart = x - centres
        ctx.save_for_backward(apart, weights)
        return (weights * apart.square().sum(1)).sum() / 2

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        apart, weights = ctx.saved_tensors
        return apart * (weights * gradients[0])[:, None], None, None


def _squared_distances(centres: Tensor) -> Tensor:
    return torch.cdist(centres, centres, compute_mode="donot_use_mm_for_euclid_dist").square()


def _closest(centres: Tensor, pairs: Tensor) -> Tensor:
    """The squared distance of the closest of the ``pairs (n, n)`` of centres."""
    with torch.no_grad():
        closest = _squared_distances(centres).masked_fill(~pairs, torch.inf).argmin()[None]
    first, second = (centres.index_select(0, index) for index in (closest // len(pairs), closest % len(pairs)))
    return (first - second).square().sum()


def _precise(values: Tensor) -> Tensor:
    """Sums over all pixels of a batch need more than half precision."""
    return values if values.dtype == torch.float64 else values.float()


def _summed(values: Tensor) -> Tensor:
    """The sum over all processes that train together."""
    if in_parallel():
        torch.distributed.all_reduce(values)
    return values
