"""The wrappers inside mmengine's Runner."""

import os

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from tests.helpers import CLASSES, tiny_runner_cfg, tiny_segmentor, write_voc_folder


def wrapped_cfg(root, work_dir, max_iters):
    """Train on pseudo labels, validate through ImageLabelDataset."""
    # Dropout would draw from the process's generator: that is the model's randomness, not the data's.
    cfg = tiny_runner_cfg(root, work_dir, max_iters=max_iters, model=tiny_segmentor(dropout_ratio=0))
    photos = dict(type='PhotoDataset', data_root=str(root), classes=CLASSES, data_prefix=dict(img_path='JPEGImages'))
    load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    cfg['train_dataloader'].update(
        sampler=dict(type='IterationSampler'),
        dataset=dict(type='PseudoLabelDataset', seed=0, pseudo_label_dir=str(root / 'pseudo'),
                     dataset=dict(photos, ann_file='ImageSets/Segmentation/train.txt'),
                     pipeline=[*load, dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion'),
                               dict(type='RandomCrop', crop_size=(32, 32)), dict(type='PackWSSSInputs')]))
    val = dict(type='ImageLabelDataset', labels_from_masks=True, show_masks=True,
               dataset=dict(photos, ann_file='ImageSets/Segmentation/val.txt',
                            data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass')),
               pipeline=[*load, dict(type='PackWSSSInputs')])
    cfg['val_dataloader']['dataset'] = cfg['test_dataloader']['dataset'] = val
    cfg['default_hooks']['checkpoint']['interval'] = 2
    return cfg


def train(cfg, experiment, **overrides):
    """Run a config and return the final weights."""
    cfg = {**cfg, **overrides, 'experiment_name': experiment}
    runner = Runner.from_cfg(Config(cfg, format_python_code=False))  # formatting takes seconds per checkpoint
    runner.train()
    return runner.model.state_dict()


def test_killed_run_resumes_to_the_very_weights(tmp_path):
    root = write_voc_folder(tmp_path / 'data')
    os.rename(root / 'SegmentationClass', root / 'pseudo')
    os.symlink(root / 'pseudo', root / 'SegmentationClass')
    whole = train(wrapped_cfg(root, tmp_path / 'whole', 5), 'runs_whole')
    resumed = train(wrapped_cfg(root, tmp_path / 'resumed', 5), 'runs_resumed', resume=True,
                    load_from=str(tmp_path / 'whole/iter_2.pth'))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert (tmp_path / 'whole/iter_4.pth').is_file()
    other = train(wrapped_cfg(root, tmp_path / 'other', 5), 'runs_other', randomness=dict(seed=1))
    assert any(not torch.equal(whole[key], other[key]) for key in whole)
