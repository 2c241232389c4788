import numpy as np
import pytest
from PIL import Image

from mmwsss.registry import DATASETS

STEPS = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='LoadTrueMask'),
         dict(type='RandomFlip', prob=1.), dict(type='PackWSSSInputs')]


def load(root, kind: str, pseudo: list, true: list, steps: list = STEPS, **prefix):
    for folder in ('images', 'masks', 'pseudo'):
        (root / folder).mkdir()
    Image.new('RGB', (2, 2)).save(root / 'images/a.jpg')
    Image.fromarray(np.uint8([true, true])).save(root / 'masks/a.png')
    Image.fromarray(np.uint8([pseudo, pseudo])).save(root / 'pseudo/a.png')
    (root / 'train.txt').write_text('a\n')
    dataset = DATASETS.build(dict(
        type='PseudoLabelDataset', pseudo_label_dir=str(root / 'pseudo'), pipeline=steps,
        dataset=dict(type=kind, data_root=str(root), ann_file='train.txt',
                     data_prefix=dict(img_path='images', **prefix))))
    return dataset[0]['data_samples']


@pytest.mark.parametrize(('kind', 'true', 'expected'), [
    ('COCO2014Dataset', [12, 255], [255, 12]), ('COCO2014SlotDataset', [12, 255], [255, 13])])
def test_truth_goes_along_and_follows_the_geometry(tmp_path, kind, true, expected):
    sample = load(tmp_path, kind, [7, 0], true, seg_map_path='masks')
    assert sample.gt_sem_seg.data.tolist() == [[[0, 7], [0, 7]]]
    assert sample.true_sem_seg.data.tolist() == [[expected, expected]]


def test_without_masks_there_is_no_truth(tmp_path):
    sample = load(tmp_path, 'COCO2014Dataset', [7, 0], [1, 1])
    assert sample.gt_sem_seg.data.tolist() == [[[0, 7], [0, 7]]]
    assert 'true_sem_seg' not in sample


def test_the_upper_bound_ignores_labels_that_are_wrong(tmp_path):
    steps = [dict(step, ignore_wrong=True) if step['type'] == 'LoadTrueMask' else step for step in STEPS]
    sample = load(tmp_path, 'COCO2014Dataset', [7, 3], [7, 4], steps, seg_map_path='masks')
    assert sample.gt_sem_seg.data.tolist() == [[[255, 7], [255, 7]]]
