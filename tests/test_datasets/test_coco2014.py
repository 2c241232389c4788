import numpy as np
import pytest
from mmseg.utils import get_palette

from mmwsss.datasets import COCO2014Dataset, index_palette
from mmwsss.registry import DATASETS


def test_metainfo():
    classes = COCO2014Dataset.METAINFO['classes']
    assert len(set(classes)) == 81
    assert classes[0] == 'background'
    # Places that any renumbering mistake would move: COCO's ids 1, 13, 44, 90.
    assert [classes[k] for k in (1, 12, 40, 80)] == ['person', 'stop sign', 'bottle', 'toothbrush']
    assert len(COCO2014Dataset.METAINFO['palette']) == 81


def test_palette_is_vocs():
    assert index_palette(21) == get_palette('voc')
    assert len({tuple(color) for color in index_palette(256)}) == 256


def test_builds_by_name(tmp_path):
    (tmp_path / 'train2014').mkdir()
    (tmp_path / 'train.txt').write_text('COCO_train2014_000000000009\n')
    dataset = DATASETS.build(dict(type='COCO2014Dataset', data_root=str(tmp_path), ann_file='train.txt',
                                  data_prefix=dict(img_path='train2014')))
    assert dataset.get_data_info(0)['img_path'].endswith('train2014/COCO_train2014_000000000009.jpg')
    assert np.shape(dataset.metainfo['palette']) == (81, 3)


def test_subset_of_classes(tmp_path):
    dataset = COCO2014Dataset(metainfo=dict(classes=('background', 'dog')), lazy_init=True)
    assert dataset.label_map[17] == 1
    with pytest.raises(ValueError, match='subset'):
        COCO2014Dataset(metainfo=dict(classes=('background', 'wolf')), lazy_init=True)
