"""Layer weights of AReAM from the entropy of refined maps (arXiv 2305.03112, Sec. III-C)."""

import math

import torch
from torch import Tensor

from .affinity import refine_with_affinity
from .cam import normalize_cams

__all__ = ['entropy_weights', 'layer_entropies', 'reactivated_cams', 'reactivation_weights']

SCOPES = ('image', 'batch')


@torch.no_grad()
def reactivation_weights(cams: Tensor,
                         affinities: Tensor,
                         image_labels: Tensor,
                         scope: str = 'image',
                         normalize_refined: bool = False) -> tuple[Tensor, Tensor]:
    """Compute layer weights from the entropy of the maps that each layer refines (AReAM, Eq. 7 to 10).

    A layer that spreads the map over everything has a high entropy: it counts little where maps are refined and much
    where affinity is supervised. In each image one layer gets 0 and one gets 1. Weights are computed in float32 or
    better, also under autocast, because the entropies of layers differ too little for lower precision.

    Args:
        cams: (B, C, h, w) CAMs in [0, 1] before refinement; see :func:`normalize_cams`.
        affinities: (B, L, N, N), N = h*w, of L layers; rows are queries.
        image_labels: (B, C) multi-hot; maps of absent classes are not used.
        scope: ``'image'``: every image has its own weights; ``'batch'``: entropies are averaged over the batch first.
        normalize_refined: Min-max normalize refined maps before their entropy is taken.

    Returns:
        Re-activation weights w and their counterparts 1 - w, both (B, L) and detached. Where all layers are equally
        flat, or the image has no class, w is 1.

    Raises:
        ValueError: If ``scope`` is neither.
    """
    if scope not in SCOPES:
        raise ValueError(f'scope must be one of {SCOPES}, got {scope!r}')
    entropies = layer_entropies(cams, affinities, image_labels, normalize_refined, relative=True)
    if scope == 'batch':
        entropies = entropies.mean(dim=0, keepdim=True).expand_as(entropies)
    return entropy_weights(entropies)


def entropy_weights(entropies: Tensor) -> tuple[Tensor, Tensor]:
    """Turn entropies (..., L) into re-activation weights and counterparts, both (..., L) (AReAM, Eq. 9 and 10)."""
    low, high = entropies.amin(dim=-1, keepdim=True), entropies.amax(dim=-1, keepdim=True)
    counterparts = (entropies - low) / (high - low + 1e-8)
    return 1 - counterparts, counterparts


@torch.no_grad()
def layer_entropies(cams: Tensor,
                    affinities: Tensor,
                    image_labels: Tensor,
                    normalize_refined: bool = False,
                    reduce_classes: str = 'max',
                    relative: bool = False) -> Tensor:
    """Compute the entropy of class activation maps refined by each layer alone (AReAM, Eq. 7 and 8).

    Args:
        cams: (B, C, h, w) CAMs in [0, 1] before refinement.
        affinities: (B, L, N, N), N = h*w, of L layers; rows are queries.
        image_labels: (B, C) multi-hot; maps of absent classes are not used.
        normalize_refined: Min-max normalize refined maps before their entropy is taken.
        reduce_classes: ``'max'`` over the present classes; or their ``'sum'``, as released for arXiv version 1.
        relative: Return the entropy minus ln N, which is at most 0 and keeps its digits for nearly flat maps.

    Returns:
        (B, L) entropies in nats of the softmax over positions, without temperature.

    Raises:
        ValueError: If ``reduce_classes`` is neither.
    """
    if reduce_classes not in ('max', 'sum'):
        raise ValueError(f"reduce_classes must be 'max' or 'sum', got {reduce_classes!r}")
    dtype = torch.promote_types(cams.dtype, torch.float32)
    with torch.autocast(cams.device.type, enabled=False):
        refined = torch.einsum('blij,bcj->blci', affinities.to(dtype), cams.to(dtype).flatten(2))
        absent = (image_labels <= 0)[:, None, :, None]
        refined = refined.masked_fill(absent, -torch.inf if reduce_classes == 'max' else 0.)
        scores = refined.amax(dim=2) if reduce_classes == 'max' else refined.sum(dim=2)
        scores = scores.masked_fill(absent.all(dim=2), 0.)
        if normalize_refined:
            scores = normalize_cams(scores[:, :, None], 'minmax', eps=1e-6)[:, :, 0]
        entropies = _relative_entropy(scores)
    return entropies if relative else entropies + math.log(scores.shape[-1])


def _relative_entropy(scores: Tensor) -> Tensor:
    """Return the entropy of the softmax of (..., N) minus ln N.

    With d the scores minus their mean and p their softmax, it is ln(mean(exp d)) - sum p d: both terms shrink with the
    variance of the scores, so that nothing is lost by cancellation against ln N.
    """
    centred = scores - scores.mean(dim=-1, keepdim=True)
    mean_exp = centred.expm1().mean(dim=-1)
    return mean_exp.log1p() - (centred.exp() * centred).mean(dim=-1) / (1 + mean_exp)


@torch.no_grad()
def reactivated_cams(cams: Tensor, affinities: Tensor, weights: Tensor) -> Tensor:
    """Refine CAMs by all layers' affinity, each with its weight (AReAM, Eq. 11 and 12).

    Args:
        cams: (B, C, h, w).
        affinities: (B, L, N, N), N = h*w; rows are queries.
        weights: (B, L).

    Returns:
        (B, C, h, w) in float32 or better, detached. Weights are not divided by their sum.
    """
    dtype = torch.promote_types(cams.dtype, torch.float32)
    with torch.autocast(cams.device.type, enabled=False):
        affinity = torch.einsum('bl,blij->bij', weights.to(dtype), affinities.to(dtype))
        return refine_with_affinity(cams.to(dtype), affinity)
