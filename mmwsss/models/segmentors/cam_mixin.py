"""What every model that gives class activation maps has in common."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Optional

import torch
from mmengine.dist import all_reduce_dict, get_world_size
from mmengine.structures import PixelData
from torch import Tensor

from ..utils import fuse_views, normalize_cams, resize_maps, resize_photos, view_sizes, without_padding

__all__ = ['CAMMixin']


class CAMMixin:
    """Multi-scale CAMs on top of one single-scale pass; mixed into an mmseg segmentor.

    A model brings :meth:`class_maps` and :meth:`extract_cams`, and names its maps in ``map_names``. How views are
    fused stands in ``test_cfg.cams``:

    * ``scales``, or ``sizes``, and ``divisor`` (see :func:`view_sizes`);
    * ``interpolation`` of the image: ``'bilinear'``, or ``'bicubic'`` as Pillow does it, for which the preprocessor is
      a :class:`MultiViewPreProcessor`;
    * ``flip``, ``flip_fusion`` and ``scale_fusion`` (``'max'`` or ``'sum'``);
    * ``relu``: whether maps are rectified before the scale fusion, which is the default;
    * ``normalize`` and ``eps`` (see :func:`normalize_cams`).
    """

    map_names: tuple[str, ...] = ('cams', )

    def class_maps(self, inputs: Tensor, classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Run the network once for its signed maps and nothing else.

        Args:
            inputs: (B, 3, H, W) normalised images.
            classes: Indices of the classes to compute; all C if None.

        Returns:
            The maps of ``map_names``, each (B, C or number of indices, h, w) at token resolution.
        """
        maps = self.extract_cams(inputs)
        return {name: maps[name] if classes is None else maps[name][:, classes] for name in self.map_names}

    def scored_maps(self, inputs: Tensor) -> dict[str, Tensor]:
        """Run the network once for the maps of ``map_names``, (B, C, h, w), and ``logits`` (B, C)."""
        found = self.extract_cams(inputs)
        return {name: found[name] for name in (*self.map_names, 'logits')}

    @torch.no_grad()
    def multi_scale_cams(self,
                         inputs: Tensor,
                         image_labels: Optional[Tensor] = None,
                         scales: Optional[tuple[float, ...]] = None,
                         flip: Optional[bool] = None,
                         known: Optional[dict[str, Tensor]] = None,
                         classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Fuse the maps of several scales and mirrored views as ``test_cfg.cams`` says.

        Args:
            inputs: (B, 3, H, W) normalised images.
            image_labels: (B, C) multi-hot; maps of absent classes are set to 0. None keeps all.
            scales: In place of the scales or sizes configured.
            flip: In place of what is configured.
            known: Result of :meth:`extract_cams` for ``inputs``, if the caller has it; not computed again.
            classes: (P,) indices of the classes whose maps are wanted; all C if None. Nothing else is computed then,
                so that ``logits`` are left out unless ``known``.

        Returns:
            The maps of ``map_names``, each (B, C or P, H, W) in [0, 1] at the size of ``inputs``, normalised by image
            and class, and ``logits`` (B, C).
        """
        overrides = {} if scales is None else dict(scales=scales, sizes=None)
        cfg = {**self.test_cfg.get('cams', {}), **overrides, **({} if flip is None else dict(flip=flip))}
        scores = {} if known is None else {'logits': known['logits']}
        # The view closest in size to the image gives the scores, which then cost no pass of their own.
        scored_size = _closest_view(inputs, cfg) if known is None and classes is None else None

        def maps_of(views: Tensor) -> dict[str, Tensor]:
            if tuple(views.shape[-2:]) != scored_size:
                return self.class_maps(views, classes)
            found = self.scored_maps(views)
            scores['logits'] = found['logits'][:len(inputs)]
            return {name: found[name] for name in self.map_names}

        select = slice(None) if classes is None else classes
        chosen = known and {name: known[name][:, select] for name in self.map_names}
        maps = fuse_normalized(self, inputs, cfg, chosen, classes, maps_of)
        if image_labels is not None:
            mask = image_labels[:, select, None, None]
            maps = {name: value * mask.to(value) for name, value in maps.items()}
        return {**maps, **scores}

    predict_cams = multi_scale_cams

    def attach_cams(self, cams: dict[str, Tensor], data_samples: list) -> list:
        """Resize maps to the images' own sizes and put them, with ``cls_logits`` (C,), into the data samples."""
        for i, sample in enumerate(data_samples):
            for name in self.map_names:
                maps = without_padding(cams[name][i:i + 1], sample.metainfo)
                maps = resize_maps(maps, sample.metainfo['ori_shape'])[0]
                sample.set_data({name: PixelData(data=maps)})
            sample.set_field(cams['logits'][i], 'cls_logits')
        return data_samples

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """As in mmengine; what is logged is the mean over processes, so that it describes the global batch."""
        total, log_vars = super().parse_losses(losses)
        if get_world_size() > 1:
            log_vars = {name: value.detach().clone() for name, value in log_vars.items()}
            all_reduce_dict(log_vars, op='mean')
        return total, log_vars


def fuse_normalized(model: CAMMixin,
                    inputs: Tensor,
                    cfg: dict,
                    known: Optional[dict[str, Tensor]] = None,
                    classes: Optional[Tensor] = None,
                    map_fn: Optional[Callable[[Tensor], dict[str, Tensor]]] = None) -> dict[str, Tensor]:
    """Fuse views of a model's maps and normalise: (B, C or P, H, W) in [0, 1] for every name in ``map_names``.

    Args:
        model: Gives the maps.
        inputs: (B, 3, H, W) normalised images.
        cfg: As ``test_cfg.cams`` of :class:`CAMMixin`.
        known: The maps of ``inputs`` themselves, of ``classes`` only, if the caller has them.
        classes: (P,) indices of the classes to compute; all C if None.
        map_fn: In place of the model's ``class_maps``.

    Raises:
        ValueError: On an unknown interpolation, fusion or normalisation.
    """
    cfg = {'relu': True, **cfg}
    mode, eps = cfg.pop('normalize', 'minmax'), cfg.pop('eps', 1e-5)
    resize = _image_resize(model, cfg.pop('interpolation', 'bilinear'))
    known = known and {name: known[name] for name in model.map_names}
    map_fn = map_fn or (lambda views: model.class_maps(views, classes))
    fused = fuse_views(map_fn, inputs, known=known, resize=resize, **cfg)
    # What TransCAM's normalisation leaves below 0 is background at every threshold, and so is 0.
    return {name: normalize_cams(value, mode, eps).clamp_(min=0) for name, value in fused.items()}


def _closest_view(inputs: Tensor, cfg: dict) -> tuple[int, int]:
    """Give the size of the view whose area is closest to the images' own."""
    own = inputs.shape[-2:]
    sizes = view_sizes(own, **{key: cfg[key] for key in ('scales', 'sizes', 'divisor') if key in cfg})
    return min(sizes, key=lambda size: abs(math.log(size[0] * size[1] / own.numel())))


def _image_resize(model: CAMMixin, interpolation: str) -> Callable[[Tensor, Sequence[int]], Tensor]:
    if interpolation == 'bilinear':
        return resize_maps
    if interpolation == 'bicubic':
        black, white = model.data_preprocessor.color_range()
        return partial(resize_photos, low=black, high=white)
    raise ValueError(f"interpolation must be 'bilinear' or 'bicubic', got {interpolation!r}")
