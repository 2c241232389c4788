"""The images of a config's splits."""

import pytest
from mmengine.config import Config

from mmwsss.datasets.splits import choose_split


@pytest.mark.parametrize(('config', 'listed', 'expected'), [
    ('mctformer/mctformer-v2_deit-s_voc', 'ImageSets/Segmentation/train.txt',
     ('ImageSets/Segmentation/train.txt', 'JPEGImages', 'SegmentationClass')),
    ('mctformer/mctformer-v2_deit-s_voc', None,
     ('ImageSets/Segmentation/trainaug.txt', 'JPEGImages', 'SegmentationClass')),
    ('mctformer/mctformer-v2_deit-s_coco', 'ImageSets/train.txt',
     ('ImageSets/train.txt', 'train2014', 'SegmentationClass/train2014'))])
def test_training_images_have_their_own_lists_and_folders(tmp_path, config, listed, expected):
    cfg = Config.fromfile(f'configs/{config}.py')
    leaf = cfg.test_dataloader.dataset.dataset
    leaf.data_root = str(tmp_path)
    if listed:
        (tmp_path / listed).parent.mkdir(parents=True)
        (tmp_path / listed).write_text('')
    choose_split(cfg, 'train')
    assert (leaf.ann_file, *(leaf.data_prefix[key] for key in ('img_path', 'seg_map_path'))) == expected


def test_a_list_of_ones_own(tmp_path):
    cfg = Config.fromfile('configs/mctformer/mctformer-v2_deit-s_voc.py')
    leaf = cfg.test_dataloader.dataset.dataset
    (tmp_path / 'two.txt').write_text('2007_000005\n2008_000001\n')
    choose_split(cfg, str(tmp_path / 'two.txt'))
    assert leaf.ann_file == str(tmp_path / 'two.txt')
    with pytest.raises(FileNotFoundError, match='there is no file trian'):
        choose_split(cfg, 'trian')


def test_no_test_data():
    with pytest.raises(ValueError, match='no test_dataloader with masks'):
        choose_split(Config(dict(test_dataloader=None)), 'val')
