"""A CAM model without training: a CAM says how close a pixel's color is to the class's color.

Its colors are those of :func:`tests.helpers.write_voc_folder`, so that its maps show the objects there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import torch
from mmengine.structures import PixelData
from torch import Tensor, nn

from mmwsss.models import BaseCAMHead, CAMClassifier
from mmwsss.registry import MODELS
from tests.helpers import CLASSES, COLORS, PALETTE, REPO

__all__ = ['ColorCAM', 'color_cam_config']


@MODELS.register_module()
class Pixels(nn.Module):
    """A backbone whose feature map is the image."""

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (x, )


@MODELS.register_module()
class ColorHead(BaseCAMHead):
    """Maps (B, C, H, W) with 1 at the class's color, falling off to negative values."""

    def __init__(self, colors: Sequence) -> None:
        super().__init__(len(colors))
        self.colors = nn.Parameter(torch.tensor(colors) / 255)

    def forward(self, features) -> dict[str, Tensor]:
        return {'logits': (self.all_maps(features) > .8).float().mean((2, 3)) * 100 - 1}

    def maps(self, features, names: Sequence[str], classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        maps = self.all_maps(features)
        return dict.fromkeys(names, maps if classes is None else maps[:, classes])

    def all_maps(self, features) -> Tensor:
        return 1 - 4 * (features.maps[-1][:, None] - self.colors[:, :, None, None]).abs().mean(2)


@MODELS.register_module()
class ColorCAM(CAMClassifier):
    """A CAM model that also gives samples a segmentation, the class with the largest map."""

    def __init__(self, colors: Sequence, **kwargs) -> None:
        super().__init__(dict(type='Pixels'), dict(type='ColorHead', colors=colors), **kwargs)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        return {'loss': self.extract_cams(inputs)['logits'].sum()}

    def predict(self, inputs: Tensor, data_samples: list) -> list:
        for sample in super().predict(inputs, data_samples):
            sample.pred_sem_seg = PixelData(data=(sample.cams.data.max(0).indices + 1)[None])
        return data_samples


def color_cam_config(data_root: Path, colors: Sequence = COLORS, size: Optional[tuple] = None) -> dict:
    """Everything that inference and testing need of a config, over a folder of ``write_voc_folder``."""
    resize = [{'type': 'Resize', 'scale': size, 'keep_ratio': False}] if size else []
    classes = tuple(CLASSES[:len(colors)]) + tuple(f'class_{i}' for i in range(len(CLASSES), len(colors)))
    palette = [list(color) for color in (PALETTE[0], *colors)]

    def dataloader(split: str) -> dict:
        load = [{'type': 'LoadAnnotations'}] if split == 'val' else []
        dataset = {
            'type': 'BaseSegDataset', 'data_root': str(data_root), 'ann_file': f'ImageSets/Segmentation/{split}.txt',
            'img_suffix': '.jpg', 'seg_map_suffix': '.png',
            'data_prefix': {'img_path': 'JPEGImages', 'seg_map_path': 'SegmentationClass'},
            'metainfo': {'classes': ('background', *classes), 'palette': palette}
        }
        wrapper = {'type': 'ImageLabelDataset', 'dataset': dataset, 'labels_from_masks': True,
                   'show_masks': split == 'val',
                   'pipeline': [{'type': 'LoadImageFromFile'}, *resize, *load, {'type': 'PackWSSSInputs'}]}
        return {'batch_size': 1, 'num_workers': 0, 'dataset': wrapper,
                'sampler': {'type': 'DefaultSampler', 'shuffle': False}}

    return {
        'default_scope': 'mmwsss',
        'custom_imports': {'imports': ['tests.color_cam'], 'allow_failed_imports': False},
        'model': {
            'type': 'ColorCAM', 'colors': [list(color) for color in colors],
            'data_preprocessor': {'type': 'SegDataPreProcessor', 'mean': [0, 0, 0], 'std': [255, 255, 255],
                                  'bgr_to_rgb': True},
            'test_cfg': {'threshold': .5,
                         'cams': {'scales': (1., .5), 'flip': True, 'flip_fusion': 'max', 'scale_fusion': 'sum',
                                  'normalize': 'minmax'}}
        },
        'train_dataloader': dataloader('train'),
        'val_dataloader': dataloader('val'),
        'test_dataloader': dataloader('val'),
        'work_dir': str(REPO / 'work_dirs' / 'never')
    }
