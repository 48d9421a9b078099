"""The evidence of the folds of a replicate as that of one trial: each image once, the folds one after the other."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from autorf.running.evidence import Evidence

N_SAMPLES = 6


def pooled_evidence(folds: Sequence[Evidence]) -> Evidence | None:
    """What several models did on images of their own each, counted together; None where they cannot be.

    Of one trial it is its own evidence. Samples are thinned to as many as one trial keeps.

    Args:
        folds: at least one; of the same classes.
    """
    first = folds[0]
    if len(folds) == 1:
        return first
    if any(fold.class_names != first.class_names or fold.map_name != first.map_name for fold in folds):
        return None
    starts = [sum(fold.n_images for fold in folds[:at]) for at in range(len(folds))]
    whole = replace(
        first,
        n_images=sum(fold.n_images for fold in folds),
        cells=torch.cat([_shifted(fold.cells, start) for fold, start in zip(folds, starts, strict=True)]),
        counts=torch.cat([fold.counts for fold in folds]),
        objects=torch.cat([_shifted(fold.objects, start) for fold, start in zip(folds, starts, strict=True)]),
        object_scales=torch.cat([fold.object_scales for fold in folds]),
        image_scales=_image_scales(folds),
        ranks=_ranks(folds),
    )
    return _with_samples(whole, folds, starts)


def _shifted(rows: Tensor, start: int) -> Tensor:
    """Rows that begin with an image's number, which becomes that among all images."""
    moved = rows.clone()
    moved[:, 0] += start
    return moved


def _image_scales(folds: Sequence[Evidence]) -> Tensor | None:
    if all(fold.image_scales is None for fold in folds):
        return None
    return torch.cat([torch.ones(fold.n_images) if fold.image_scales is None else fold.image_scales for fold in folds])


def _ranks(folds: Sequence[Evidence]) -> Tensor | None:
    """Of a classification, one a picture."""
    known = [fold.ranks for fold in folds if fold.ranks is not None]
    return torch.cat(known) if len(known) == len(folds) else None


def _with_samples(whole: Evidence, folds: Sequence[Evidence], starts: Sequence[int]) -> Evidence:
    """Samples from every fold in turn, in the order of the images; of the first fold alone where sizes differ."""
    places = [(at, index) for index in range(N_SAMPLES) for at, fold in enumerate(folds) if index < len(fold.samples)]
    if len({fold.samples.shape[1:] for fold in folds}) > 1:
        places = [place for place in places if place[0] == 0]
    chosen = sorted(places[:N_SAMPLES])
    maps = [fold.maps for fold in folds]

    def of(name: str) -> Tensor:
        return torch.stack([getattr(folds[at], name)[index] for at, index in chosen])

    return replace(
        whole,
        sample_indices=torch.stack([folds[at].sample_indices[index] + starts[at] for at, index in chosen]),
        samples=of("samples"),
        sample_truth=of("sample_truth"),
        sample_prediction=of("sample_prediction"),
        maps=None if any(map is None for map in maps) else of("maps"),
    )
