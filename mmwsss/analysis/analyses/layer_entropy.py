"""Fixed layer weights of AReAM's first version, from the entropies of a whole data set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from torch import Tensor, nn

from mmwsss.models import Features, Request
from mmwsss.models.backbones import PatchAttention
from mmwsss.models.utils import entropy_weights, layer_entropies
from mmwsss.registry import DATASETS
from mmwsss.utils.errors import UserError

from .base import ANALYSES, ModelAnalysis, Sample
from .drawing import draw_layer_curves
from .records import rounded, runs_of

__all__ = ['LayerEntropies']


@ANALYSES.register_module(name='layer-entropies')
class LayerEntropies(ModelAnalysis):
    """Entropy of the maps that each layer refines, over the training images, as fixed weights of AReAM's losses.

    Every training image is resized to the training size by Pillow's bicubic filter, whatever the split, and the
    rectified map of the patch classifier is refined by each layer alone. The entropies of these maps, summed over
    classes, are averaged over the data set and scaled to [0, 1]. Set ``model.auxiliary.reactivation.counterparts`` to
    the result, together with ``model.auxiliary.reactivation.entropy_mode=offline``.
    """

    source = 'AReAM Eq. 8 to 10'
    needs_labels = True

    def __init__(self) -> None:
        self._sum: Any = 0.
        self._count = 0

    def dataset(self, cfg: Config, split: str) -> BaseDataset:
        """Return the training images, resized to the training size without augmentation."""
        height, width = cfg.model.data_preprocessor['size']
        return DATASETS.build({**cfg.train_dataloader.dataset, 'pipeline': [
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(width, height), keep_ratio=False, backend='pillow', interpolation='bicubic'),
            dict(type='PackWSSSInputs')]})

    def request(self, model: nn.Module) -> Request:
        """Request the attention of each layer, and what the map of the patch classifier needs."""
        if 'patch_cams' not in getattr(getattr(model, 'cam_head', None), 'map_names', ()):
            raise UserError(f'{type(model).__name__} of the config has no map patch_cams: give an MCTformer-V2 or an '
                            'AReAM')
        return model.cam_head.request(['patch_cams']) + Request(observations=(PatchAttention(), ))

    def update(self, model: nn.Module, sample: Sample, features: Features) -> None:
        """Add the entropies of an image, relative to ln N."""
        maps = model.cam_head.maps(features, ['patch_cams'])['patch_cams']
        self._sum = self._sum + layer_entropies(
            maps, features[PatchAttention()], sample.image_labels[None], reduce_classes='sum', relative=True)[0]
        self._count += 1

    def mean_entropies(self) -> Tensor:
        """Return the entropies (L,), relative to ln N, averaged over the images so far."""
        return self._sum / self._count

    def compute(self) -> dict[str, Any]:
        """Return the mean entropies, relative to ln N, and the counterparts in [0, 1]."""
        entropies = self.mean_entropies()
        return dict(relative_entropies=rounded(entropies, 8), counterparts=rounded(entropy_weights(entropies)[1], 6))

    def note(self, data: Mapping[str, Any]) -> str:
        """Return the setting to copy."""
        return f'counterparts=[{",".join(f"{value:.4f}" for value in data["counterparts"])}]'

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw the weight of each layer's loss."""
        curves = {label: dict.fromkeys(('mean', 'low', 'high'), torch.tensor(data['counterparts']).tolist())
                  for label, data in runs_of(record)}
        draw_layer_curves(curves, "weight of the layer's loss", path)
