import os

import numpy as np
import pytest
from PIL import Image

from mmwsss.datasets import PseudoLabelDataset, SampleIndex
from mmwsss.datasets.map_files import write_label_map
from mmwsss.registry import DATASETS
from tests.helpers import CLASSES, write_voc_folder

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackWSSSInputs')]


@pytest.fixture
def root(tmp_path):
    root = write_voc_folder(tmp_path, num_train=4)
    os.rename(root / 'SegmentationClass', root / 'pseudo')
    for k in range(4):
        write(root, k, np.full((40, 56), k % 3, np.uint8))
    return root


def write(root, k, mask):
    write_label_map(mask, root / f'pseudo/img_{k:03d}.png')


def build(root, **kwargs):
    inner = dict(type='BaseSegDataset', data_root=str(root), data_prefix=dict(img_path='JPEGImages'),
                 ann_file='ImageSets/Segmentation/train.txt', serialize_data=False,
                 metainfo=dict(classes=('background', *CLASSES)), **kwargs.pop('inner', {}))
    return DATASETS.build({**dict(type='PseudoLabelDataset', dataset=inner, pseudo_label_dir=str(root / 'pseudo'),
                                  pipeline=PIPELINE), **kwargs})


def test_pseudo_labels_take_the_place_of_masks(root):
    dataset = build(root)
    assert len(dataset) == 4
    for k in range(4):
        assert (dataset[k]['data_samples'].gt_sem_seg.data == k % 3).all()
    assert build(root, pipeline=None, inner=dict(pipeline=PIPELINE))[1]['data_samples'].gt_sem_seg.data.max() == 1


def test_label_mappings_of_the_dataset_are_not_applied(root):
    dataset = build(root, inner=dict(reduce_zero_label=True))
    assert (dataset[2]['data_samples'].gt_sem_seg.data == 2).all()
    assert dataset.metainfo['reduce_zero_label'] is False


def test_images_without_pseudo_label(root):
    for k in (0, 2):
        (root / f'pseudo/img_00{k}.png').unlink()
    with pytest.raises(FileNotFoundError, match=r"2 of 4 images.*'img_000\.png', 'img_002\.png'.*make_pseudo_labels"):
        build(root)
    dataset = build(root, missing='skip')
    assert dataset.image_ids == ['img_001', 'img_003']
    assert (dataset[0]['data_samples'].gt_sem_seg.data == 1).all()


def test_values_and_sizes_are_checked(root):
    mask = np.zeros((40, 56), np.uint8)
    mask[0, 0] = 255
    write(root, 1, mask)
    build(root)
    mask[0, 1] = 7
    write(root, 1, mask)
    with pytest.raises(ValueError, match=r'img_001\.png has the value 7 \(allowed: 0 to 2 and 255\)'):
        build(root)
    write(root, 1, mask[:, :50].clip(0, 2))
    with pytest.raises(ValueError, match=r'img_001\.png has 50x40 pixels, its image 56x40'):
        build(root)
    build(root, num_checked=0)


def test_colored_pictures_are_refused(root):
    Image.new('RGB', (56, 40)).save(root / 'pseudo/img_000.png')
    with pytest.raises(ValueError, match='RGB picture'):
        build(root)


def test_warns_when_only_background_was_written(root, monkeypatch):
    messages = []
    monkeypatch.setattr('mmwsss.datasets.pseudo_label_dataset.print_log', lambda text, **_: messages.append(text))
    build(root)
    assert messages == []
    for k in range(4):
        write(root, k, np.zeros((40, 56), np.uint8))
    build(root)
    assert len(messages) == 1
    assert 'background only' in messages[0]


def test_random_transforms_follow_from_seed_and_draw(root):
    flip = [*PIPELINE[:2], dict(type='RandomFlip', prob=0.5), PIPELINE[2]]
    dataset = build(root, seed=0, pipeline=flip)
    flips = [dataset[SampleIndex(0, draw)]['data_samples'].flip for draw in range(12)]
    assert flips == [dataset[SampleIndex(0, draw)]['data_samples'].flip for draw in range(12)]
    assert len(set(flips)) == 2


def test_wraps_into_image_labels(root):
    inner = dict(type='PseudoLabelDataset', pseudo_label_dir=str(root / 'pseudo'), pipeline=[],
                 dataset=dict(type='PhotoDataset', classes=CLASSES, data_root=str(root),
                              data_prefix=dict(img_path='JPEGImages'), ann_file='ImageSets/Segmentation/train.txt'))
    dataset = DATASETS.build(dict(type='ImageLabelDataset', dataset=inner, labels_from_masks=True, show_masks=True,
                                  pipeline=PIPELINE))
    sample = dataset[2]['data_samples']
    assert sample.gt_label.tolist() == [0, 1]
    assert (sample.gt_sem_seg.data == 2).all()


def test_wrong_arguments(root):
    with pytest.raises(FileNotFoundError, match='nowhere.*make_pseudo_labels'):
        build(root, pseudo_label_dir='nowhere')
    with pytest.raises(ValueError, match="got 'ignore'"):
        build(root, missing='ignore')
    with pytest.raises(TypeError, match='got str'):
        PseudoLabelDataset('x', str(root / 'pseudo'))
