import numpy as np
import pytest
from PIL import Image

from mmwsss.datasets import COCO2014Dataset, COCO2014SlotDataset, category_ids_to_classes, classes_to_category_ids
from mmwsss.datasets.coco import COCO_CATEGORY_IDS, COCO_CLASSES, COCO_SLOTS
from mmwsss.registry import DATASETS

from ..helpers import call_tool


def test_labels_are_category_ids():
    assert len(COCO_SLOTS) == len(set(COCO_SLOTS)) == 90
    assert len(COCO_CATEGORY_IDS) == 80
    for name, number in (('person', 1), ('fire hydrant', 11), ('stop sign', 13), ('bottle', 44), ('toothbrush', 90)):
        assert COCO_SLOTS[number - 1] == name
    unused = [number for number, name in enumerate(COCO_SLOTS, 1) if name not in COCO_CLASSES]
    assert unused == [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]
    assert [COCO_SLOTS[number - 1] for number in COCO_CATEGORY_IDS] == list(COCO_CLASSES)


def test_masks_and_labels_are_renumbered_when_loaded(tmp_path):
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
    Image.new('RGB', (2, 2)).save(tmp_path / 'images/a.jpg')
    Image.fromarray(np.uint8([[0, 12], [80, 255]])).save(tmp_path / 'masks/a.png')
    (tmp_path / 'val.txt').write_text('a\n')
    dataset = DATASETS.build(dict(
        type='ImageLabelDataset', labels_from_masks=True, show_masks=True, test_mode=True,
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackWSSSInputs')],
        dataset=dict(type='COCO2014SlotDataset', data_root=str(tmp_path), ann_file='val.txt',
                     data_prefix=dict(img_path='images', seg_map_path='masks'))))
    sample = dataset[0]['data_samples']
    assert sample.gt_sem_seg.data.tolist() == [[[0, 13], [90, 255]]]
    assert sample.gt_label.nonzero().flatten().tolist() == [12, 89]
    assert len(dataset.metainfo['classes']) == len(dataset.metainfo['palette']) == 91
    assert isinstance(dataset.dataset, COCO2014SlotDataset)
    assert len(COCO2014Dataset.METAINFO['classes']) == 81


def test_both_ways(tmp_path):
    mask = np.uint8([[*range(81), 255]])
    assert (category_ids_to_classes(classes_to_category_ids(mask)) == mask).all()
    assert classes_to_category_ids(mask).max() == 255
    with pytest.raises(ValueError, match=r'\[12\] stand for no class'):
        category_ids_to_classes(np.uint8([[12, 13]]))
    (tmp_path / 'slots').mkdir()
    Image.fromarray(np.uint8([[90, 1]])).save(tmp_path / 'slots/a.png')
    call_tool('tools/dataset_converters/coco_category_ids.py', tmp_path / 'slots', tmp_path / 'out', '--to', 'classes')
    with Image.open(tmp_path / 'out/a.png') as found:
        assert np.asarray(found).tolist() == [[80, 1]]
    with pytest.raises(FileNotFoundError, match='has no PNG'):
        call_tool('tools/dataset_converters/coco_category_ids.py', tmp_path / 'images', tmp_path / 'out',
                  '--to', 'category-ids')
