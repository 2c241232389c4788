"""Affinity of tokens: labels of pairs, and refinement of class activation maps."""

import torch
from torch import Tensor

from .cam import IGNORE_INDEX

__all__ = ['refine_with_affinity', 'token_affinity_labels']


def token_affinity_labels(labels: Tensor, include_diagonal: bool = False) -> Tensor:
    """Compare the labels of all pairs of tokens (ToCo, CVPR 2023, Sec. 4.2; AFA, CVPR 2022, Eq. 8).

    Args:
        labels: (B, h, w) integer labels, 255 ignored; background (0) is a label like any other.
        include_diagonal: Keep a token's relation to itself; else it is ignored.

    Returns:
        (B, N, N) uint8, N = h*w row-major: 1 same label, 0 different labels, 255 where either token is ignored.
    """
    flat = labels.flatten(1)
    affinity = (flat[:, :, None] == flat[:, None, :]).to(torch.uint8)
    ignored = flat == IGNORE_INDEX
    affinity.masked_fill_(ignored[:, :, None] | ignored[:, None, :], IGNORE_INDEX)
    if not include_diagonal:
        affinity.diagonal(dim1=1, dim2=2).fill_(IGNORE_INDEX)
    return affinity


def refine_with_affinity(cams: Tensor, affinity: Tensor) -> Tensor:
    """Refine class activation maps by the affinity of tokens (MCTformer, CVPR 2022, Eq. 3 and 7).

    Args:
        cams: (B, C, h, w) CAMs.
        affinity: (B, N, N), N = h*w; row i has the weights with which token i sums up scores; not normalized.

    Returns:
        (B, C, h, w) with out[i] = sum_j affinity[i, j] * cams[j].
    """
    refined = torch.einsum('bij,bcj->bci', affinity, cams.flatten(2))
    return refined.reshape_as(cams)
