"""DeepLab-V2 from an image file to probabilities at its own size, as its PyTorch port computes them."""

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope

from mmwsss.checkpoints import KeyLayout, KeyRule, map_keys
from mmwsss.registry import MODELS
from tests.helpers import REPO
from tests.published_maps import NUM_CLASSES, official_weights

FOLDER = Path(__file__).parent / 'fixtures' / 'published_maps'
NORM = r'(weight|bias|running_mean|running_var|num_batches_tracked)'
LAYOUT = KeyLayout('DeepLab-V2', (
    KeyRule(r'layer1\.conv1\.conv\.weight', 'backbone.conv1.weight'),
    KeyRule(rf'layer1\.conv1\.bn\.{NORM}', r'backbone.bn1.\1'),
    *(KeyRule(rf'layer{layer}\.block{block}\.{theirs}\.{kind}\.{NORM}',
              rf'backbone.layer{layer - 1}.{block - 1}.' + ours.format(kind=kind) + r'.\1', required=False)
      for layer in range(2, 6) for block in range(1, 7)
      for theirs, ours in (('reduce', '{kind}1'), ('conv3x3', '{kind}2'), ('increase', '{kind}3'))
      for kind in ('conv', 'bn')),
    *(KeyRule(rf'layer{layer}\.block1\.shortcut\.{kind}\.{NORM}', rf'backbone.layer{layer - 1}.0.downsample.{index}.\1')
      for layer in range(2, 6) for index, kind in enumerate(('conv', 'bn'))),
    KeyRule(r'aspp\.c(\d)\.(weight|bias)', r'decode_head.branches.\1.\2')))


def test_maximum_of_several_scales():
    cfg = Config.fromfile(REPO / 'configs/deeplab/deeplabv2_r101_voc.py')
    cfg.merge_from_dict(dict(model=dict(
        backbone=dict(depth=50, base_channels=4, stem_channels=4),
        decode_head=dict(in_channels=128, num_classes=NUM_CLASSES + 1))))
    init_default_scope(cfg.default_scope)
    model = MODELS.build(dict(cfg.tta_model, module=cfg.model, steps=None)).eval()
    model.module.load_state_dict(map_keys(official_weights('deeplabv2'), LAYOUT).state_dict)
    pipeline = [step for step in cfg.tta_pipeline if step['type'] != 'LoadAnnotations']
    data = Compose(pipeline)(dict(img_path=str(FOLDER / 'photo.jpg'), seg_fields=[], reduce_zero_label=False))
    with torch.no_grad():
        found = model.test_step(pseudo_collate([data]))[0].seg_logits.data.softmax(dim=0).numpy()
    with np.load(FOLDER / 'deeplabv2.npz') as file:
        expected, labels = file['tta'].astype(np.float32), file['tta_labels']
    assert np.abs(found - expected).max() < 5e-3
    assert (found.argmax(axis=0) != labels).mean() < 1e-3
