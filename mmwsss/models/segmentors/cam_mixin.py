"""What every model that gives class activation maps has in common."""

from typing import Optional

import torch
from mmengine.dist import all_reduce_dict, get_world_size
from mmengine.structures import PixelData
from torch import Tensor

from ..utils import fuse_views, normalize_cams, resize_maps, without_padding

__all__ = ['CAMMixin']


class CAMMixin:
    """Multi-scale CAMs on top of one single-scale pass; mixed into an mmseg segmentor.

    A model brings :meth:`class_maps` and :meth:`extract_cams`, and names its maps in ``map_names``. How views are
    fused stands in ``test_cfg.cams``: ``scales``, ``flip``, ``flip_fusion`` and ``scale_fusion`` (``'max'`` or
    ``'sum'``), ``normalize`` and ``eps`` (see :func:`normalize_cams`).
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
            scales: In place of those configured.
            flip: In place of what is configured.
            known: Result of :meth:`extract_cams` for ``inputs``, if the caller has it; not computed again.
            classes: (P,) indices of the classes whose maps are wanted; all C if None. Nothing else is computed then,
                so that ``logits`` are left out unless ``known``.

        Returns:
            The maps of ``map_names``, each (B, C or P, H, W) in [0, 1] at the size of ``inputs``, normalised by image
            and class, and ``logits`` (B, C).
        """
        overrides = {k: v for k, v in dict(scales=scales, flip=flip).items() if v is not None}
        cfg = {**self.test_cfg.get('cams', {}), **overrides}
        if known is None and classes is None:
            # One pass gives the scores and, where scale 1 is among the views, two of them.
            pair = cfg.get('flip', True) and 1 in cfg.get('scales', (1, ))
            known = self.scored_maps(torch.cat([inputs, inputs.flip(-1)]) if pair else inputs)
        select = slice(None) if classes is None else classes
        chosen = known and {name: known[name][:, select] for name in self.map_names}
        maps = fuse_normalized(self, inputs, cfg, chosen, classes)
        if image_labels is not None:
            mask = image_labels[:, select, None, None]
            maps = {name: value * mask.to(value) for name, value in maps.items()}
        return {**maps, 'logits': known['logits'][:len(inputs)]} if known else maps

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
                    classes: Optional[Tensor] = None) -> dict[str, Tensor]:
    """Fuse views of a model's maps and normalise: (B, C or P, H, W) in [0, 1] for every name in ``map_names``.

    Args:
        model: Gives the maps.
        inputs: (B, 3, H, W) normalised images.
        cfg: Arguments of :func:`fuse_views`, and ``normalize``.
        known: The maps of ``inputs`` themselves, of ``classes`` only, if the caller has them.
        classes: (P,) indices of the classes to compute; all C if None.
    """
    cfg = dict(cfg)
    mode, eps = cfg.pop('normalize', 'minmax'), cfg.pop('eps', 1e-5)
    known = known and {name: known[name] for name in model.map_names}
    fused = fuse_views(lambda views: model.class_maps(views, classes), inputs, relu=True, known=known, **cfg)
    return {name: normalize_cams(value, mode, eps) for name, value in fused.items()}
