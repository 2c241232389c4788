"""One place for multi-scale and flipped views: run a function on all of them and fuse what it gives."""

from collections.abc import Sequence
from typing import Any, Callable, Optional

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ['fuse_views', 'resize_maps', 'without_padding']

MapFn = Callable[[Tensor], dict[str, Tensor]]
_FUSIONS = {'sum': torch.add, 'max': torch.maximum}


def resize_maps(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (B, C, h, w) bilinearly to ``size`` (H, W), corners not aligned; no copy if it has that size."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode='bilinear', align_corners=False)


def without_padding(maps: Tensor, meta: dict[str, Any]) -> Tensor:
    """Cut off what mmseg's preprocessor padded at test time.

    Args:
        maps: (..., H, W) at the size of the network's input; the input itself as well.
        meta: Meta information of the sample. Its ``img_padding_size``, or else ``padding_size``, is (left, right, top,
            bottom) in pixels; nothing is cut without either.

    Returns:
        (..., H - top - bottom, W - left - right), a view.
    """
    left, right, top, bottom = meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0)))
    return maps[..., top:maps.shape[-2] - bottom, left:maps.shape[-1] - right]


def fuse_views(map_fn: MapFn,
               images: Tensor,
               scales: Sequence[float] = (1.0, ),
               flip: bool = True,
               flip_fusion: str = 'max',
               scale_fusion: str = 'sum',
               relu: bool = False,
               size: Optional[Sequence[int]] = None,
               known: Optional[dict[str, Tensor]] = None) -> dict[str, Tensor]:
    """Run ``map_fn`` on scaled and mirrored views of a batch and fuse its maps.

    At each scale the batch and its mirror image form one forward pass; maps are brought to ``size``, mirrored back,
    fused over the mirror pair, optionally rectified, and then fused over scales. ToCo's CAMs and its multi-scale
    segmentation are both instances of this.

    Args:
        map_fn: Gives named maps (B', C, h', w') for a batch (B', 3, H', W').
        images: (B, 3, H, W).
        scales: Factors of the input size; scaled sizes are rounded down.
        flip: Whether to add the horizontally mirrored view.
        flip_fusion: ``'max'`` or ``'sum'`` over a view and its mirror image.
        scale_fusion: ``'max'`` or ``'sum'`` over scales.
        relu: Rectify after the mirror fusion, before the scale fusion.
        size: (H, W) of the result; default the size of ``images``.
        known: What ``map_fn`` gives for ``images``, or for ``images`` followed by their mirror images, if the caller
            has it already; it is not computed again.

    Returns:
        name -> (B, C, H, W) fused maps.

    Raises:
        ValueError: On an unknown fusion or no scale.
    """
    for name, fusion in (('flip_fusion', flip_fusion), ('scale_fusion', scale_fusion)):
        if fusion not in _FUSIONS:
            raise ValueError(f'{name} must be one of {sorted(_FUSIONS)}, got {fusion!r}')
    if not scales:
        raise ValueError('scales must name at least one factor')
    size = tuple(size or images.shape[-2:])
    fused: dict[str, Tensor] = {}
    for scale in scales:
        maps = _mirror_pair(map_fn, _scaled(images, scale), flip, _FUSIONS[flip_fusion], size,
                            known if scale == 1 else None)
        for name, value in maps.items():
            value = value.relu() if relu else value
            fused[name] = _FUSIONS[scale_fusion](fused[name], value) if name in fused else value
    return fused


def _scaled(images: Tensor, scale: float) -> Tensor:
    return resize_maps(images, [int(scale * side) for side in images.shape[-2:]])


def _mirror_pair(map_fn: MapFn, images: Tensor, flip: bool, fusion: Callable, size: Sequence[int],
                 known: Optional[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Give the fused maps of a batch and its mirror image at ``size``, not computing what is known."""
    num = len(images)
    if known is None:
        known = map_fn(torch.cat([images, images.flip(-1)]) if flip else images)
    plain = {name: value[:num] for name, value in known.items()}
    mirrored = {name: value[num:] for name, value in known.items() if flip and len(value) > num}
    if flip and not mirrored:
        mirrored = map_fn(images.flip(-1))
    fused = {name: resize_maps(value, size) for name, value in plain.items()}
    for name, value in mirrored.items():
        fused[name] = fusion(fused[name], resize_maps(value, size).flip(-1))
    return fused
