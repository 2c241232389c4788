import json

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmwsss.datasets import ImageLabels
from mmwsss.registry import DATASETS
from tests.converters import run_converter
from tests.helpers import REPO

pytest.importorskip('pycocotools', reason='COCO annotations need pycocotools')

CATEGORIES = [dict(id=1, name='person'), dict(id=13, name='stop sign'), dict(id=90, name='toothbrush')]


def rectangle(y0, y1, x0, x1):
    return [[x0, y0, x1, y0, x1, y1, x0, y1]]


def annotation(image_id, category_id, segmentation, iscrowd=0):
    return dict(image_id=image_id, category_id=category_id, segmentation=segmentation, iscrowd=iscrowd)


def run_lengths(mask):
    """Run lengths in column order, starting with zeros."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [-1]])))
    return np.diff(np.concatenate([[0], edges])).tolist()


@pytest.fixture
def root(tmp_path):
    crowd = np.zeros((12, 10), int)
    crowd[6:, :4] = 1
    content = dict(
        train=([annotation(4, 90, rectangle(2, 4, 2, 4)), annotation(4, 1, rectangle(0, 8, 0, 8)),
                annotation(4, 13, dict(size=[12, 10], counts=run_lengths(crowd)), iscrowd=1)], (4, 5)),
        val=([annotation(k, 13, rectangle(0, 12, 0, 5)) for k in (9, 7)], (9, 7)))
    for split, (annotations, ids) in content.items():
        images = [dict(id=k, file_name=f'COCO_{split}2014_{k:012d}.jpg', height=12, width=10) for k in ids]
        path = tmp_path / 'annotations' / f'instances_{split}2014.json'
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=CATEGORIES)))
    return tmp_path


def read_mask(root, split, number):
    with Image.open(root / f'SegmentationClass/{split}2014/COCO_{split}2014_{number:012d}.png') as image:
        assert image.mode == 'P'
        return np.array(image)


@pytest.mark.parametrize('nproc', [1, 2])
@pytest.mark.parametrize(('crowd', 'value'), [('ignore', 255), ('skip', 0), ('label', 2)])
def test_masks_labels_and_lists(root, crowd, value, nproc):
    run_converter('coco2014', root, '--crowd', crowd, '--nproc', nproc)
    expected = np.zeros((12, 10), int)
    expected[6:, :4] = value  # the crowd lies below the person
    expected[:8, :8] = 1
    expected[2:4, 2:4] = 3  # the smaller object lies on top
    assert (read_mask(root, 'train', 4) == expected).all()
    labels = ImageLabels.load(root / 'image_labels.json')
    assert labels.classes == ('person', 'stop sign', 'toothbrush')
    shown = ('person', 'toothbrush') if crowd == 'skip' else ('person', 'stop sign', 'toothbrush')
    assert labels.labels['COCO_train2014_000000000004'] == shown
    lists = {name: (root / f'ImageSets/{name}.txt').read_text().split()
             for name in ('train', 'train_all', 'val', 'val_part')}
    assert lists['train'] == ['COCO_train2014_000000000004']
    assert lists['train_all'] == ['COCO_train2014_000000000004', 'COCO_train2014_000000000005']
    assert labels.labels['COCO_train2014_000000000005'] == ()
    assert not read_mask(root, 'train', 5).any(), 'an image without an object is background'
    assert lists['val'] == lists['val_part'] == ['COCO_val2014_000000000007', 'COCO_val2014_000000000009']


def test_finished_masks_are_kept_and_the_rest_is_made(root):
    run_converter('coco2014', root, '--nproc', 1)
    kept = root / 'SegmentationClass/val2014/COCO_val2014_000000000007.png'
    kept.write_bytes(b'kept')
    (root / 'SegmentationClass/val2014/COCO_val2014_000000000009.png').unlink()
    run_converter('coco2014', root, '--nproc', 1)
    assert kept.read_bytes() == b'kept'
    assert (read_mask(root, 'val', 9)[:, :5] == 2).all()
    with pytest.raises(ValueError, match='another --crowd than skip'):
        run_converter('coco2014', root, '--crowd', 'skip')


def test_style_of_coco2voc(root):
    path = root / 'annotations/instances_train2014.json'
    data = json.loads(path.read_text())
    for entry, area in zip(data['annotations'], (4., 64., 24.)):
        entry['area'] = area
    path.write_text(json.dumps(data))
    path = root / 'annotations/instances_val2014.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'annotations': []}))
    run_converter('coco2014', root, '--style', 'coco2voc', '--nproc', 1)
    expected = np.zeros((12, 10), int)
    expected[:8, :8] = 1
    expected[6:, :4] = 2  # the crowd has the smaller area
    expected[2:4, 2:4] = 3
    assert (read_mask(root, 'train', 4) == expected).all()
    assert ImageLabels.load(root / 'image_labels.json').source['style'] == 'coco2voc'
    with pytest.raises(ValueError, match='another --style than mmwsss'):
        run_converter('coco2014', root)
    with pytest.raises(ValueError, match='paints crowds with their class: leave out --crowd skip'):
        run_converter('coco2014', root, '--style', 'coco2voc', '--crowd', 'skip')


def test_a_list_for_validation_can_be_given(root, tmp_path):
    given = tmp_path / 'val_5000.txt'
    given.write_text('000000000009\nCOCO_val2014_000000000007\n')
    run_converter('coco2014', root, '--nproc', 1, '--val-part', given)
    assert (root / 'ImageSets/val_part.txt').read_text().split() == [
        'COCO_val2014_000000000009', 'COCO_val2014_000000000007'], 'in the order of the list'
    given.write_text('12\n9\n')
    with pytest.raises(ValueError, match=r'1 of 2 images of --val-part .* not in val2014: .COCO_val2014_000000000012'):
        run_converter('coco2014', root, '--nproc', 1, '--val-part', given)
    with pytest.raises(FileNotFoundError, match=r'--val-part .*lost\.txt does not exist'):
        run_converter('coco2014', root, '--val-part', tmp_path / 'lost.txt')


def test_images_without_an_object_are_trained_on_where_a_config_asks_for_it(root):
    run_converter('coco2014', root, '--nproc', 1)
    (root / 'train2014').mkdir()
    for k in (4, 5):
        Image.new('RGB', (10, 12)).save(root / f'train2014/COCO_train2014_{k:012d}.jpg')
    sizes = {}
    for name in ('mctformer/mctformer-v2_deit-s_coco', 'weaktr/weaktr_deit-s_coco', 'toco/toco_vit-b_coco'):
        cfg = Config.fromfile(REPO / f'configs/{name}.py', format_python_code=False).train_dataloader.dataset
        cfg.dataset.data_root = str(root)
        dataset = DATASETS.build(cfg)
        sizes[name.split('/')[0]] = len(dataset)
        if len(dataset) == 2:
            assert dataset.gt_labels.sum(1).tolist() == [3, 0]
            assert dataset[1]['data_samples'].gt_label.eq(0).all()
    assert sizes == dict(mctformer=2, weaktr=1, toco=1)


def test_masks_fit_the_dataset(root):
    run_converter('coco2014', root, '--nproc', 1)
    (root / 'val2014').mkdir()
    for k in (7, 9):
        Image.new('RGB', (10, 12)).save(root / f'val2014/COCO_val2014_{k:012d}.jpg')
    inner = dict(type='COCO2014Dataset', data_root=str(root), ann_file='ImageSets/val.txt',
                 data_prefix=dict(img_path='val2014', seg_map_path='SegmentationClass/val2014'))
    dataset = DATASETS.build(dict(
        type='ImageLabelDataset', dataset=inner, label_file='image_labels.json', show_masks=True,
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackWSSSInputs')]))
    # The small file has three categories, the data set eighty: labels are matched by name.
    assert dataset[0]['data_samples'].gt_label.nonzero().flatten().tolist() == [11]


def test_errors(root):
    with pytest.raises(FileNotFoundError, match='nowhere does not exist'):
        run_converter('coco2014', 'nowhere')
    (root / 'annotations/instances_val2014.json').unlink()
    with pytest.raises(FileNotFoundError, match=r'instances_val2014\.json does not exist'):
        run_converter('coco2014', root, '--nproc', 1)
