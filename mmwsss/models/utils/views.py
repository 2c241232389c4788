"""Run a function on scaled and mirrored views of images, and fuse its results."""

from collections.abc import Callable, Sequence
from typing import Any, Optional

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ['fuse_views', 'resize_maps', 'resize_photos', 'view_sizes', 'without_padding']

MapFn = Callable[[Tensor], dict[str, Tensor]]
ResizeFn = Callable[[Tensor, Sequence[int]], Tensor]
_FUSIONS = {'sum': torch.add, 'max': torch.maximum, 'mean': torch.add}  # a mean is divided at the end


def resize_maps(maps: Tensor, size: Sequence[int], mode: str = 'bilinear', align_corners: bool = False) -> Tensor:
    """Resize (B, C, h, w) to ``size`` (H, W) as torch's ``interpolate`` does; no copy if it has that size."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode=mode, align_corners=align_corners)


def resize_photos(images: Tensor, size: Sequence[int], low: Tensor, high: Tensor) -> Tensor:
    """Resize photographs of 256 levels a channel with Pillow's bicubic filter.

    It is antialiased and works first along the width, then along the height, rounding to whole levels each time.

    Args:
        images: (B, 3, H, W).
        size: (H', W') of the result.
        low: Value of level 0, a scalar or (3, 1, 1).
        high: Value of level 255, a scalar or (3, 1, 1).

    Returns:
        (B, 3, H', W').
    """
    step = (high - low) / 255
    for target in ((images.shape[2], size[1]), tuple(size)):
        if tuple(images.shape[-2:]) != target:
            images = F.interpolate(images, size=target, mode='bicubic', align_corners=False, antialias=True)
            images = low + ((images - low) / step).round().clamp(0, 255) * step
    return images


def view_sizes(size: Sequence[int],
               scales: Sequence[float] = (1.0, ),
               sizes: Optional[Sequence[Sequence[int]]] = None,
               divisor: int = 1) -> list[tuple[int, int]]:
    """Return the sizes (h, w) of the views of an image of ``size`` (H, W).

    Args:
        size: (H, W).
        scales: Factors of the image's size.
        sizes: (h, w) of every view whatever the image's size, in place of ``scales``.
        divisor: Scaled sides are rounded to the nearest multiple of this; with 1 they are rounded down.

    Raises:
        ValueError: If there is no view.
    """
    if not (sizes or scales):
        raise ValueError('scales must name at least one factor')
    if sizes:
        return [(int(height), int(width)) for height, width in sizes]
    if divisor == 1:
        return [(int(scale * size[0]), int(scale * size[1])) for scale in scales]
    return [tuple(max(round(scale * side / divisor), 1) * divisor for side in size) for scale in scales]


def without_padding(maps: Tensor, meta: dict[str, Any]) -> Tensor:
    """Remove the padding that mmseg's preprocessor added at test time.

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
               own_view: Optional[dict[str, Tensor]] = None,
               sizes: Optional[Sequence[Sequence[int]]] = None,
               divisor: int = 1,
               resize: ResizeFn = resize_maps) -> dict[str, Tensor]:
    """Run ``map_fn`` on scaled and mirrored views of a batch and fuse its maps.

    At each scale the batch and its mirror image form one forward pass; maps are brought to ``size``, mirrored back,
    fused over the mirror pair, optionally rectified, and then fused over scales. ToCo's CAMs and its multi-scale
    segmentation are both instances of this.

    Args:
        map_fn: Returns named maps (B', C, h', w') for a batch (B', 3, H', W').
        images: (B, 3, H, W).
        scales: Factors of the input size; see :func:`view_sizes`.
        flip: Whether to add the horizontally mirrored view.
        flip_fusion: ``'max'``, ``'sum'`` or ``'mean'`` over a view and its mirror image.
        scale_fusion: ``'max'``, ``'sum'`` or ``'mean'`` over scales.
        relu: Rectify after the mirror fusion, before the scale fusion.
        size: (H, W) of the result; default the size of ``images``.
        own_view: What ``map_fn`` returns for ``images``, if the caller has it already: it is not computed again where
            one of the views has their size. The mirror images are.
        sizes: Sizes of the views instead of ``scales``; see :func:`view_sizes`.
        divisor: See :func:`view_sizes`.
        resize: Called as ``resize(images, size)`` to make the views; default bilinear, without antialiasing.

    Returns:
        name -> (B, C, H, W) fused maps.

    Raises:
        ValueError: A fusion is unknown, or there is no view.
    """
    for name, fusion in (('flip_fusion', flip_fusion), ('scale_fusion', scale_fusion)):
        if fusion not in _FUSIONS:
            raise ValueError(f'{name} must be one of {sorted(_FUSIONS)}, got {fusion!r}')
    own_size = tuple(images.shape[-2:])
    size = tuple(size or own_size)
    fused: dict[str, Tensor] = {}
    chosen = view_sizes(own_size, scales, sizes, divisor)
    for view_size in chosen:
        maps = _mirror_pair(map_fn, resize(images, view_size), flip, _FUSIONS[flip_fusion], size,
                            own_view if view_size == own_size else None)
        for name, value in maps.items():
            value = value / 2 if flip and flip_fusion == 'mean' else value
            value = value.relu() if relu else value
            fused[name] = _FUSIONS[scale_fusion](fused[name], value) if name in fused else value
    if scale_fusion == 'mean':
        fused = {name: value / len(chosen) for name, value in fused.items()}
    return fused


def _mirror_pair(map_fn: MapFn, images: Tensor, flip: bool, fusion: Callable, size: Sequence[int],
                 plain: Optional[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the fused maps of a batch and its mirror image at ``size``; ``plain`` are the batch's own if known."""
    if not flip:
        return {name: resize_maps(value, size) for name, value in (plain or map_fn(images)).items()}
    if plain is None:
        both = map_fn(torch.cat([images, images.flip(-1)]))
        plain, mirrored = ({name: value.split(len(images))[half] for name, value in both.items()} for half in (0, 1))
    else:
        mirrored = map_fn(images.flip(-1))
    fused = {name: resize_maps(value, size) for name, value in plain.items()}
    for name, value in mirrored.items():
        fused[name] = fusion(fused[name], resize_maps(value, size).flip(-1))
    return fused
