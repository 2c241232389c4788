import logging

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmwsss.datasets.config import dataset_configs, override_data
from mmwsss.registry import DATASETS
from tests.helpers import CLASSES, REPO, write_voc_folder


@pytest.fixture
def cfg():
    cfg = Config.fromfile(REPO / 'configs/_base_/datasets/voc.py')
    cfg.model = dict(
        backbone=dict(num_classes=1000),
        neck=dict(num_class_tokens=20),
        cam_head=dict(num_classes=20),
        decode_head=[dict(num_classes=21, loss_decode=dict(type='L'))])
    for name in ('val_cfg', 'test_cfg'):
        cfg[name] = dict()
    return cfg


def leaves(cfg):
    return {split: leaf for split, leaf, _ in dataset_configs(cfg)}


def test_voc_config_runs_on_another_folder(cfg, tmp_path):
    root = write_voc_folder(tmp_path / 'data')
    override_data(cfg, str(root), 'classes.txt')
    assert cfg.model.backbone.num_classes == 1000
    assert cfg.model.cam_head.num_classes == 2
    assert cfg.model.neck.num_class_tokens == 2
    assert cfg.model.decode_head[0].num_classes == 3
    assert {leaf.data_root for leaf in leaves(cfg).values()} == {str(root)}
    assert leaves(cfg)['train'].ann_file == 'ImageSets/Segmentation/train.txt'
    val = DATASETS.build(cfg.val_dataloader.dataset)
    assert len(val) == 3
    assert val.metainfo['classes'] == ('background', *CLASSES)
    assert val[0]['data_samples'].gt_label.tolist() == [1, 0]


def test_label_file_goes_to_every_wrapper(cfg, tmp_path):
    write_voc_folder(tmp_path)
    (tmp_path / 'mine.json').write_text('{"classes": ["disc"], "labels": {"img_000": ["disc"]}}')
    override_data(cfg, str(tmp_path), list(CLASSES), 'mine.json')
    files = {wrapper.label_file for _, _, around in dataset_configs(cfg) for wrapper in around}
    assert files == {str(tmp_path / 'mine.json')}


def test_photos_without_lists_and_masks_train_on_everything(cfg, tmp_path, caplog):
    for name in ('a.jpg', 'b.PNG'):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / 'image_labels.json').write_text('{"classes": ["cat"], "labels": {"a": ["cat"], "b": ["cat"]}}')
    with caplog.at_level(logging.WARNING):
        override_data(cfg, str(tmp_path), 'cat, dog')
    assert cfg.val_dataloader is None
    assert cfg.test_evaluator is None
    assert list(leaves(cfg)) == ['train']
    train = DATASETS.build(cfg.train_dataloader.dataset)
    assert train.image_ids == ['a', 'b']
    assert train.classes == ('cat', 'dog')


def test_data_root_alone_keeps_the_data_sets(cfg, tmp_path):
    write_voc_folder(tmp_path)
    override_data(cfg, str(tmp_path))
    assert leaves(cfg)['train'].type == 'PascalVOCDataset'
    assert cfg.model.cam_head.num_classes == 20
    assert cfg.data_root == str(tmp_path)


@pytest.mark.parametrize('name', ['voc', 'coco', 'sample', 'photos'])
def test_every_base_config_can_be_overridden(name, tmp_path):
    root = write_voc_folder(tmp_path)
    cfg = Config.fromfile(REPO / f'configs/_base_/datasets/{name}.py')
    cfg.model = dict(cam_head=dict(num_classes=cfg.num_classes), decode_head=dict(num_classes=cfg.num_classes + 1))
    override_data(cfg, str(root), str(root / 'classes.txt'))
    assert (cfg.model.cam_head.num_classes, cfg.model.decode_head.num_classes) == (2, 3)
    assert len(DATASETS.build(cfg.test_dataloader.dataset)) == 3


def test_nothing_given_changes_nothing(cfg):
    before = cfg.pretty_text
    assert override_data(cfg).pretty_text == before


def test_errors_name_what_is_missing(cfg, tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        override_data(cfg, 'nowhere')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='JPEGImages.*images'):
        override_data(cfg, str(tmp_path / 'empty'))
    with pytest.raises(FileNotFoundError, match=r'mine\.txt'):
        override_data(cfg, str(tmp_path), 'mine.txt')
    with pytest.raises(FileNotFoundError, match=r'labels\.json'):
        override_data(cfg, label_file='labels.json')
    cfg.model = dict(head=dict(num_classes=7))
    with pytest.raises(ValueError, match='20 or 21'):
        override_data(cfg, classes=['cat'])
    with pytest.raises(ValueError, match='no data set'):
        override_data(Config(dict(model=dict())), classes=['cat'])


def test_training_list_must_be_there_when_there_is_one_to_validate(cfg, tmp_path):
    write_voc_folder(tmp_path)
    (tmp_path / 'ImageSets/Segmentation/train.txt').unlink()
    with pytest.raises(FileNotFoundError, match=r'train\.txt'):
        override_data(cfg, str(tmp_path), 'classes.txt')
