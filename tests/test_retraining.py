"""The second stage through the tools: pseudo labels, a segmentor of mmseg on them, which renews them."""

import json
from pathlib import Path

import torch
from mmengine.config import Config

from mmwsss.apis import init_model
from tests.color_cam import color_cam_config
from tests.helpers import REPO, call_tool, read_scalars, run_tool, write_config, write_voc_folder

CONFIG = REPO / 'configs/mctformer/retrain-refresh_fcn_vit-micro_sample.py'
SMALL = [
    'model.backbone.init_cfg=None', 'model.backbone.arch.embed_dims=32', 'model.backbone.arch.num_layers=2',
    'model.backbone.arch.feedforward_channels=64', 'model.decode_head.in_channels=32', 'model.decode_head.channels=16',
    'model.data_preprocessor.size=(32,32)', 'train_dataloader.dataset.pipeline.2.scale=(400,48)',
    'train_dataloader.dataset.pipeline.3.crop_size=(32,32)', 'train_dataloader.batch_size=2',
    'train_dataloader.num_workers=1', 'train_cfg.max_iters=4', 'train_cfg.val_interval=4', 'param_scheduler.0.warmup=0',
    'default_hooks.logger.interval=1', 'default_hooks.checkpoint.interval=2'
]


def labels_in(folder: Path) -> dict:
    return {path.name: path.read_bytes() for path in folder.glob('*.png')}


def test_from_class_maps_to_a_segmentor_that_renews_its_labels(tmp_path: Path):
    data = write_voc_folder(tmp_path / 'data', num_train=6, num_val=2, size=(60, 72))
    cfg = Config(color_cam_config(data))
    torch.save({'state_dict': init_model(cfg).state_dict()}, tmp_path / 'model.pth')
    work_dir = tmp_path / 'run'
    labels = work_dir / 'pseudo_labels'
    call_tool('tools/make_pseudo_labels.py', write_config(cfg._cfg_dict.to_dict(), tmp_path / 'cfg.py'),
              tmp_path / 'model.pth', '--out-dir', labels)
    first = labels_in(labels)
    refresh = 'custom_hooks.1.'
    run_tool('tools/train.py', CONFIG, '--work-dir', work_dir, '--data-root', data, '--classes', 'classes.txt',
             '--cfg-options', *SMALL, f'train_dataloader.dataset.pseudo_label_dir={labels}',
             f'{refresh}interval=2', f'{refresh}threshold=0.5', f'{refresh}high=0.5',
             'train_dataloader.dataset.dataset.labels_from_masks=True',
             'train_dataloader.dataset.dataset.dataset.data_prefix.seg_map_path=SegmentationClass')
    second = labels_in(labels)
    assert first.keys() == second.keys()
    assert all(first[name] != second[name] for name in first)
    settings = json.loads((labels / 'pseudo_labels.json').read_text())['settings']
    assert (settings['label_cfg']['source'], settings['classes']) == ({'type': 'SegmentationSource'}, ['disc', 'bar'])
    lines = read_scalars(work_dir)
    assert [line['step'] for line in lines if 'loss' in line] == [1, 2, 3, 4]
    assert 0 < lines[-1]['seg/mIoU'] < 100
