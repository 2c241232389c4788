"""A CAM model without training: a class map says how close a pixel's colour is to the class's colour.

Its colours are those of :func:`tests.helpers.write_voc_folder`, so that its maps show the objects there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from torch import Tensor, nn

from mmwsss.models.segmentors import CAMMixin
from mmwsss.registry import MODELS
from tests.helpers import CLASSES, COLORS, PALETTE, REPO

__all__ = ['ColourCAM', 'colour_cam_config']


@MODELS.register_module()
class ColourCAM(CAMMixin, BaseModel):
    """Maps (B, C, H, W) with 1 at the class's colour, falling off to negative values."""

    def __init__(self, colours: Sequence, test_cfg: dict, data_preprocessor: Optional[dict] = None,
                 init_cfg: Union[dict, list, None] = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.colours = nn.Parameter(torch.tensor(colours) / 255)
        self.test_cfg = test_cfg

    @torch.no_grad()
    def extract_cams(self, inputs: Tensor, image_labels: Optional[Tensor] = None) -> dict:
        distance = (inputs[:, None] - self.colours[:, :, None, None]).abs().mean(2)
        cams = 1 - 4 * distance
        if image_labels is not None:
            cams = cams * image_labels[:, :, None, None]
        return {'cams': cams, 'logits': (cams > .8).float().mean((2, 3)) * 100 - 1}

    def forward(self, inputs: Tensor, data_samples: Optional[list] = None, mode: str = 'tensor'):
        if mode == 'loss':
            return {'loss': self.extract_cams(inputs)['logits'].sum()}
        if mode == 'tensor':
            return self.extract_cams(inputs)['cams']
        cams = self.predict_cams(inputs)
        for sample in self.attach_cams(cams, data_samples):
            sample.pred_sem_seg = PixelData(data=(sample.cams.data.max(0).indices + 1)[None])
        return data_samples


def colour_cam_config(data_root: Path, colours: Sequence = COLORS, size: Optional[tuple] = None) -> dict:
    """Everything that inference and testing need of a config, over a folder of ``write_voc_folder``."""
    resize = [{'type': 'Resize', 'scale': size, 'keep_ratio': False}] if size else []
    classes = tuple(CLASSES[:len(colours)]) + tuple(f'class_{i}' for i in range(len(CLASSES), len(colours)))
    palette = [list(colour) for colour in (PALETTE[0], *colours)]

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
        'custom_imports': {'imports': ['tests.colour_cam'], 'allow_failed_imports': False},
        'model': {
            'type': 'ColourCAM', 'colours': [list(colour) for colour in colours],
            'data_preprocessor': {'type': 'SegDataPreProcessor', 'mean': [0, 0, 0], 'std': [255, 255, 255],
                                  'bgr_to_rgb': True},
            'test_cfg': {'mode': 'whole', 'threshold': .5,
                         'cams': {'scales': (1., .5), 'flip': True, 'flip_fusion': 'max', 'scale_fusion': 'sum',
                                  'normalize': 'minmax'}}
        },
        'train_dataloader': dataloader('train'),
        'val_dataloader': dataloader('val'),
        'test_dataloader': dataloader('val'),
        'work_dir': str(REPO / 'work_dirs' / 'never')
    }
