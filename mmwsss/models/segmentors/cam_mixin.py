"""What every model that gives class activation maps has in common."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Optional, Union

import torch
from mmengine.dist import all_reduce_dict, get_world_size
from mmengine.structures import PixelData
from mmseg.utils import SampleList
from torch import Tensor, nn

from ..backbones.features import extract_features
from ..utils import (
    fuse_views,
    normalize_cams,
    pad_to_multiple,
    resize_maps,
    resize_photos,
    view_sizes,
    without_padding,
)

__all__ = ['CAMMixin']


class CAMMixin:
    """Class activation maps of a backbone and a CAM head; mixed into an mmengine model or an mmseg segmentor.

    The two verbs are :meth:`extract_cams`, one view and raw maps, and :meth:`predict_cams`, views fused and maps in
    [0, 1]. How views are fused stands in ``test_cfg.cams``:

    * ``scales``, or ``sizes``, and ``divisor`` and ``rounding`` (see :func:`view_sizes`);
    * ``pad_divisor``: every view is padded with zeros at the right and bottom to multiples of this, after mirroring or,
      with ``mirror_padded``, before it, and what covers the padding is cut off its maps before they are fused and
      normalized;
    * ``interpolation`` of the image: ``'bilinear'``, or ``'bicubic'`` as Pillow does it, for which the preprocessor is
      a :class:`MultiViewPreProcessor`;
    * ``flip``, ``flip_fusion`` and ``scale_fusion`` (``'max'`` or ``'sum'``);
    * ``relu``: whether maps are rectified before the scale fusion, which is the default;
    * ``normalize`` and ``eps`` (see :func:`normalize_cams`).

    Attributes:
        backbone: See :func:`~mmwsss.models.extract_features`.
        cam_head: A :class:`BaseCAMHead`.
        map_names: The maps of the head that are fused, evaluated and attached to samples.
    """

    map_names: tuple[str, ...] = ('cams', )
    backbone: nn.Module
    cam_head: nn.Module
    loss_cls: nn.Module
    data_preprocessor: nn.Module
    test_cfg: dict

    @torch.no_grad()
    def extract_cams(self, inputs: Tensor, image_labels: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Run one view, without flip.

        Args:
            inputs: (B, 3, H, W) normalized images, which are padded if ``test_cfg.cams`` has a ``pad_divisor``.
            image_labels: (B, C) multi-hot; maps of absent classes are set to 0. None keeps all.

        Returns:
            ``logits`` (B, C) and the head's other scores; ``cams`` (B, C, h, w) and the head's other default maps, raw,
            which cover the padding as well.
        """
        padded = pad_to_multiple(inputs, self.test_cfg.get('cams', {}).get('pad_divisor', 1))
        found = self._scores_and_maps(padded, self.cam_head.default_maps)
        return found if image_labels is None else _only_present(found, image_labels, self.cam_head.default_maps)

    @torch.no_grad()
    def predict_cams(self,
                     inputs: Tensor,
                     image_labels: Optional[Tensor] = None,
                     scales: Optional[Sequence[float]] = None,
                     flip: Optional[bool] = None,
                     classes: Optional[Tensor] = None,
                     own_view: Optional[dict[str, Tensor]] = None,
                     scored_view: Union[str, int, None] = 'closest') -> dict[str, Tensor]:
        """Fuse the maps of several scales and mirrored views as ``test_cfg.cams`` says.

        Args:
            inputs: (B, 3, H, W) normalized images.
            image_labels: (B, C) multi-hot; maps of absent classes are set to 0. None keeps all.
            scales: In place of the scales or sizes configured.
            flip: In place of what is configured.
            classes: (P,) indices of the classes whose maps are wanted, which is all that is computed; None for all C.
            own_view: Result of :meth:`extract_cams` for ``inputs``, if the caller has it: neither the view of that size
                nor ``logits`` are computed again.
            scored_view: Which view gives ``logits``: ``'closest'`` in size to the images, or its index among the scales
                or sizes. None: no ``logits`` are returned.

        Returns:
            The maps of :attr:`map_names`, each (B, C or P, H, W) in [0, 1] at the size of ``inputs``, normalized by
            image and class, and ``logits`` (B, C).

        Raises:
            ValueError: On an unknown interpolation, fusion or normalization, or a ``scored_view`` that does not exist.
        """
        overrides = {} if scales is None else dict(scales=tuple(scales), sizes=None)
        cfg = {**self.test_cfg.get('cams', {}), **overrides, **({} if flip is None else dict(flip=flip))}
        scores: dict[str, Tensor] = {}
        if own_view is not None and scored_view is not None:
            scores['logits'] = own_view['logits']
            scored_view = None
        # The view that gives the scores costs no pass of its own.
        scored_size = None if scored_view is None else _scored_size(inputs, cfg, scored_view)

        def maps_of(views: Tensor) -> dict[str, Tensor]:
            needs_scores = 'logits' not in scores and tuple(views.shape[-2:]) == scored_size
            found = self._scores_and_maps(views, self.map_names, classes, needs_scores)
            if needs_scores:
                scores['logits'] = found['logits'][:len(inputs)]
            return {name: found[name] for name in self.map_names}

        select = slice(None) if classes is None else classes
        own_maps = own_view and {name: own_view[name][:, select] for name in self.map_names}
        maps = self._fuse(maps_of, inputs, cfg, own_maps)
        if image_labels is not None:
            maps = _only_present(maps, image_labels[:, select], self.map_names)
        return {**maps, **scores}

    def attach_cams(self, cams: dict[str, Tensor], data_samples: SampleList) -> SampleList:
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

    def classification_losses(self, scores: dict[str, Tensor], image_labels: Tensor) -> dict[str, Tensor]:
        """Compare the scores that the head trains, each (B, C), with multi-hot labels (B, C).

        Returns:
            Values of ``loss_cls`` by term: ``'cls'`` of ``logits``, and such as ``'patch'`` of ``patch_logits``.
        """
        trained = self.cam_head.trained_scores or scores
        return {'cls' if name == 'logits' else name.removesuffix('_logits'): self.loss_cls(scores[name], image_labels)
                for name in trained}

    def _scores_and_maps(self, inputs: Tensor, names: Sequence[str], classes: Optional[Tensor] = None,
                         scores: bool = True) -> dict[str, Tensor]:
        """Run one view: the head's scores, unless they are not wanted, and the maps listed in ``names``."""
        head = self.cam_head
        features = extract_features(self.backbone, inputs, head.request(names, classes))
        return {**(head(features) if scores else {}), **head.maps(features, names, classes)}

    def _fuse(self, map_fn: Callable[[Tensor], dict[str, Tensor]], inputs: Tensor, cfg: dict,
              own_maps: Optional[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Fuse views as ``cfg`` says and normalize: (B, C or P, H, W) in [0, 1] by name."""
        cfg = {'relu': True, **cfg}
        mode, eps = cfg.pop('normalize', 'minmax'), cfg.pop('eps', 1e-5)
        resize = self._image_resize(cfg.pop('interpolation', 'bilinear'))
        fused = fuse_views(map_fn, inputs, own_view=own_maps, resize=resize, **cfg)
        # What TransCAM's normalization leaves below 0 is background at every threshold, and so is 0.
        return {name: normalize_cams(value, mode, eps).clamp_(min=0) for name, value in fused.items()}

    def _image_resize(self, interpolation: str) -> Callable[[Tensor, Sequence[int]], Tensor]:
        if interpolation == 'bilinear':
            return resize_maps
        if interpolation == 'bicubic':
            black, white = self.data_preprocessor.color_range()
            return partial(resize_photos, low=black, high=white)
        raise ValueError(f"interpolation must be 'bilinear' or 'bicubic', got {interpolation!r}")


def _only_present(found: dict[str, Tensor], image_labels: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """Set the maps (B, C, h, w) listed in ``names`` to 0 where their class is absent."""
    mask = image_labels[:, :, None, None]
    return {**found, **{name: found[name] * mask.to(found[name]) for name in names}}


def _scored_size(inputs: Tensor, cfg: dict, scored_view: Union[str, int]) -> tuple[int, int]:
    """Return the size, padding included, of the view that gives the scores."""
    own = inputs.shape[-2:]
    sizes = view_sizes(own, **{key: cfg[key] for key in ('scales', 'sizes', 'divisor', 'rounding') if key in cfg})
    if scored_view == 'closest':
        chosen = min(sizes, key=lambda size: abs(math.log(size[0] * size[1] / own.numel())))
    elif not isinstance(scored_view, int) or not -len(sizes) <= scored_view < len(sizes):
        raise ValueError(f"scored_view must be 'closest', None or an index below {len(sizes)}, got {scored_view!r}")
    else:
        chosen = sizes[scored_view]
    return tuple(side + -side % cfg.get('pad_divisor', 1) for side in chosen)
