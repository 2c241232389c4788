"""Run a function on scaled and mirrored views of images, and fuse its results."""

from collections.abc import Callable, Sequence
from typing import Any, Optional

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ['fuse_views', 'pad_to_multiple', 'resize_maps', 'resize_photos', 'view_sizes', 'without_padding']

MapFn = Callable[[Tensor], dict[str, Tensor]]
ResizeFn = Callable[[Tensor, Sequence[int]], Tensor]
_FIXED_POINT = 2 ** 22  # Pillow's unit of filter weights
_ROUNDINGS: dict[str, Callable[[float], int]] = {'down': int, 'nearest': round}
_FUSIONS = {'sum': torch.add, 'max': torch.maximum, 'mean': torch.add}  # a mean is divided at the end


def resize_maps(maps: Tensor, size: Sequence[int], mode: str = 'bilinear', align_corners: bool = False) -> Tensor:
    """Resize (B, C, h, w) to ``size`` (H, W) as torch's ``interpolate`` does; no copy if it has that size."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode=mode, align_corners=align_corners)


def resize_photos(images: Tensor, size: Sequence[int], low: Tensor, high: Tensor) -> Tensor:
    """Resize photographs of 256 levels a channel with Pillow's bicubic filter.

    It is antialiased and works first along the width, then along the height, rounding to whole levels each time, with
    weights in fixed point: levels equal Pillow's.

    Args:
        images: (B, 3, H, W).
        size: (H', W') of the result.
        low: Value of level 0, a scalar or (3, 1, 1).
        high: Value of level 255, a scalar or (3, 1, 1).

    Returns:
        (B, 3, H', W').
    """
    step = (high - low) / 255
    levels = ((images - low) / step).round().double()
    rows = _pillow_weights(images.shape[2], size[0]).to(images.device)
    cols = _pillow_weights(images.shape[3], size[1]).to(images.device)
    for dim, weights in ((3, cols), (2, rows)):
        if levels.shape[dim] != len(weights):  # Pillow skips a direction whose size stays.
            sums = torch.tensordot(levels, weights, dims=([dim], [1])).movedim(-1, dim)
            levels = (sums / _FIXED_POINT + .5).floor().clamp(0, 255)
    return images if levels.shape == images.shape else low + levels.to(images.dtype) * step


def _pillow_weights(before: int, after: int) -> Tensor:
    """Return the weights (after, before) of Pillow's bicubic filter in its fixed-point units, which are integers."""
    ratio = before / after
    spread = max(ratio, 1.)  # The filter widens when the image shrinks.
    centers = (torch.arange(after, dtype=torch.float64)[:, None] + .5) * ratio
    positions = torch.arange(before, dtype=torch.float64)[None] + .5
    first = (centers - 2 * spread + .5).floor().clamp(min=0)
    last = (centers + 2 * spread + .5).floor().clamp(max=before)
    near = ((positions - centers) / spread).abs()
    weights = torch.where(near < 1, (1.5 * near - 2.5) * near**2 + 1, ((-.5 * near + 2.5) * near - 4) * near + 2)
    weights = weights.where((near < 2) & (positions > first) & (positions < last), 0)
    weights = weights / weights.sum(dim=1, keepdim=True) * _FIXED_POINT
    return weights.sign() * (weights.abs() + .5).floor()


def view_sizes(size: Sequence[int],
               scales: Sequence[float] = (1.0, ),
               sizes: Optional[Sequence[Sequence[int]]] = None,
               divisor: int = 1,
               rounding: Optional[str] = None) -> list[tuple[int, int]]:
    """Return the sizes (h, w) of the views of an image of ``size`` (H, W).

    Args:
        size: (H, W).
        scales: Factors of the image's size.
        sizes: (h, w) of every view whatever the image's size, in place of ``scales``.
        divisor: Scaled sides become multiples of this, and never 0.
        rounding: How a scaled side becomes such a multiple: ``'down'``, or ``'nearest'``, in which a half goes to the
            even neighbor, as in Python's ``round``. None: ``'down'`` with a ``divisor`` of 1, ``'nearest'`` otherwise.

    Raises:
        ValueError: If there is no view, or ``rounding`` is none of these.
    """
    if not (sizes or scales):
        raise ValueError('scales must name at least one factor')
    if rounding not in (None, *_ROUNDINGS):
        raise ValueError(f'rounding must be one of {sorted(_ROUNDINGS)}, got {rounding!r}')
    if sizes:
        return [(int(height), int(width)) for height, width in sizes]
    whole = _ROUNDINGS[rounding or ('down' if divisor == 1 else 'nearest')]
    height, width = size
    return [(max(whole(scale * height / divisor), 1) * divisor, max(whole(scale * width / divisor), 1) * divisor)
            for scale in scales]


def pad_to_multiple(images: Tensor, divisor: int) -> Tensor:
    """Pad (..., H, W) with zeros at the right and bottom to multiples of ``divisor``; no copy if they are already."""
    height, width = images.shape[-2:]
    right, bottom = -width % divisor, -height % divisor
    return F.pad(images, (0, right, 0, bottom)) if right or bottom else images


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
               resize: ResizeFn = resize_maps,
               rounding: Optional[str] = None,
               pad_divisor: int = 1,
               mirror_padded: bool = False) -> dict[str, Tensor]:
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
        own_view: What ``map_fn`` returns for ``images``, padded to ``pad_divisor``, if the caller has it already: it is
            not computed again where one of the views has their size. The mirror images are.
        sizes: Sizes of the views instead of ``scales``; see :func:`view_sizes`.
        divisor: See :func:`view_sizes`.
        resize: Called as ``resize(images, size)`` to make the views; default bilinear, without antialiasing.
        rounding: See :func:`view_sizes`.
        pad_divisor: Every view is padded with zeros at the right and bottom, after mirroring, to multiples of this.
            Its maps are enlarged to the padded size, and what covers the padding is cut off.
        mirror_padded: Pad before mirroring, so that the padding of a mirror image is at its left.

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
    chosen = view_sizes(own_size, scales, sizes, divisor, rounding)
    for view_size in chosen:
        maps = _mirror_pair(map_fn, resize(images, view_size), flip, _FUSIONS[flip_fusion], size,
                            own_view if view_size == own_size else None, pad_divisor, mirror_padded)
        for name, value in maps.items():
            value = value / 2 if flip and flip_fusion == 'mean' else value
            value = value.relu() if relu else value
            fused[name] = _FUSIONS[scale_fusion](fused[name], value) if name in fused else value
    if scale_fusion == 'mean':
        fused = {name: value / len(chosen) for name, value in fused.items()}
    return fused


def _mirror_pair(map_fn: MapFn, images: Tensor, flip: bool, fusion: Callable, size: Sequence[int],
                 plain: Optional[dict[str, Tensor]], pad_divisor: int, mirror_padded: bool) -> dict[str, Tensor]:
    """Return the fused maps of a batch and its mirror image at ``size``; ``plain`` are the batch's own if known."""
    view_size = images.shape[-2:]
    if mirror_padded:
        images = pad_to_multiple(images, pad_divisor)

    def at_size(maps: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: _resize_unpadded(value, view_size, size, pad_divisor) for name, value in maps.items()}

    def mirrored_back(maps: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.flip(-1) for name, value in maps.items()}

    def maps_of(views: Tensor) -> dict[str, Tensor]:
        return map_fn(pad_to_multiple(views, pad_divisor))

    if not flip:
        return at_size(plain or maps_of(images))
    if plain is None:
        both = maps_of(torch.cat([images, images.flip(-1)]))
        plain, mirrored = ({name: value.split(len(images))[half] for name, value in both.items()} for half in (0, 1))
    else:
        mirrored = maps_of(images.flip(-1))
    fused = at_size(plain)
    mirrored = at_size(mirrored_back(mirrored)) if mirror_padded else mirrored_back(at_size(mirrored))
    for name, value in mirrored.items():
        fused[name] = fusion(fused[name], value)
    return fused


def _resize_unpadded(maps: Tensor, view_size: Sequence[int], size: Sequence[int], pad_divisor: int) -> Tensor:
    """Resize maps (B, C, h, w) of a padded view to ``size``, without what covers the padding."""
    height, width = view_size
    padded = [side + -side % pad_divisor for side in (height, width)]
    if padded != [height, width]:
        maps = resize_maps(maps, padded)[..., :height, :width]
    return resize_maps(maps, size)
