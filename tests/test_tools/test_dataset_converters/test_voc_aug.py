import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mmwsss.datasets import ImageLabels, read_ids
from mmwsss.registry import DATASETS
from tests.converters import load_converter, run_converter
from tests.helpers import REPO

VOC = Path(os.environ.get('VOC2012', REPO / 'data/VOCdevkit/VOC2012'))
SBD_IDS = ('2008_000001', '2008_000002', '2008_000003')


@pytest.fixture
def folders(tmp_path):
    """VOC with two train and one val image; SBD with three images, of which one is VOC's val."""
    voc, sbd = tmp_path / 'VOCdevkit/VOC2012', tmp_path / 'sbd'
    for folder in (voc / 'JPEGImages', voc / 'SegmentationClass', voc / 'ImageSets/Segmentation', sbd / 'dataset/cls'):
        folder.mkdir(parents=True)
    (voc / 'ImageSets/Segmentation/train.txt').write_text('2007_000005\n2008_000001\n')
    (voc / 'ImageSets/Segmentation/val.txt').write_text('2008_000003\n')
    for k, image_id in enumerate(('2007_000005', '2008_000001', '2008_000003')):
        mask = np.full((6, 8), 255, np.uint8)
        mask[1:5, 1:7] = k + 1
        image = Image.fromarray(mask).convert('P')
        image.save(voc / f'SegmentationClass/{image_id}.png')
    for k, image_id in enumerate(SBD_IDS):
        record = np.array([(np.full((6, 8), 10 + k, np.uint8), )], dtype=[('Segmentation', object)])
        savemat(sbd / f'dataset/cls/{image_id}.mat', dict(GTcls=record))
    (sbd / 'dataset/train.txt').write_text('\n'.join(SBD_IDS[:2]) + '\n')
    (sbd / 'dataset/val.txt').write_text(SBD_IDS[2] + '\n')
    return tmp_path / 'VOCdevkit', sbd


@pytest.fixture
def script(tmp_path):
    """mmseg's converter, made to expect as few images as there are."""
    source = load_converter('voc_aug').find_script(None).read_text()
    assert 'AUG_LEN = 10582' in source
    path = tmp_path / 'mmseg_voc_aug.py'
    path.write_text(source.replace('AUG_LEN = 10582', 'AUG_LEN = 3'))
    return path


def write_annotation(voc, image_id, *names, difficult=()):
    """Write VOC's annotation of an image with an object of each name."""
    objects = ''.join(f'<object><name>{name}</name><difficult>{int(name in difficult)}</difficult></object>'
                      for name in names)
    (voc / 'Annotations').mkdir(exist_ok=True)
    (voc / f'Annotations/{image_id}.xml').write_text(f'<annotation>{objects}</annotation>')


def test_labels_are_those_of_the_boxes(folders, script, capsys):
    devkit, sbd = folders
    voc = devkit / 'VOC2012'
    write_annotation(voc, '2007_000005', 'aeroplane')
    write_annotation(voc, '2008_000001', 'person', 'bicycle')  # the mask shows the bicycle alone
    write_annotation(voc, '2008_000002', 'diningtable', 'chair', 'chair', difficult=('chair', ))
    write_annotation(voc, '2008_000003', 'bird')
    run_converter('voc_aug', devkit, sbd, '--nproc', 1, '--script', script)
    labels = ImageLabels.load(voc / 'image_labels.json')
    assert labels.labels == {'2007_000005': ('aeroplane', ), '2008_000001': ('bicycle', 'person'),
                             '2008_000002': ('chair', 'diningtable'), '2008_000003': ('bird', )}
    assert labels.source['kind'] == 'voc-xml'
    assert labels.source['skip_difficult'] is False
    printed = capsys.readouterr()
    assert 'labels of boxes' in ' '.join(printed.out.split())  # the title of a narrow table has several lines
    assert 'warning' not in printed.err
    (voc / 'Annotations/2008_000002.xml').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 4 XML annotations do not exist in .*2008_000002\.xml'):
        run_converter('voc_aug', devkit, sbd)


@pytest.mark.skipif(not (VOC / 'Annotations').is_dir(), reason='needs VOC 2012, see docs/data.md')
def test_labels_of_voc_are_the_published_ones():
    ids = read_ids(VOC / 'ImageSets/Segmentation/trainaug.txt')
    labels = load_converter('voc_aug').make_labels(VOC, ids)
    summary = labels.summary()
    counts = {name: summary.images_per_class[name] for name in ('person', 'sofa', 'chair')}
    assert (summary.num_images, summary.num_labels) == (10582, 16458)
    assert counts == dict(person=4155, sofa=649, chair=1228)
    assert labels.labels['2008_000041'] == ('chair', 'diningtable', 'person', 'pottedplant')


def test_masks_lists_and_labels(folders, script, capsys):
    devkit, sbd = folders
    run_converter('voc_aug', devkit, sbd, '--nproc', 1, '--script', script)
    assert 'Annotations does not exist, so image_labels.json is made from the masks' in capsys.readouterr().err
    voc = devkit / 'VOC2012'
    masks = {path.stem: np.array(Image.open(path)) for path in (voc / 'SegmentationClassAug').iterdir()}
    assert set(masks) == {'2007_000005', *SBD_IDS}
    assert set(np.unique(masks['2008_000001'])) == {2, 255}  # VOC's own, not SBD's
    assert set(np.unique(masks['2008_000002'])) == {11}
    lists = {name: (voc / f'ImageSets/Segmentation/{name}.txt').read_text().split() for name in ('trainaug', 'aug')}
    assert lists == dict(trainaug=['2007_000005', '2008_000001', '2008_000002'], aug=['2008_000002'])
    labels = ImageLabels.load(voc / 'image_labels.json')
    assert labels.labels == {'2007_000005': ('aeroplane', ), '2008_000001': ('bicycle', ),
                             '2008_000002': ('diningtable', ), '2008_000003': ('bird', )}
    for image_id in lists['trainaug']:
        Image.new('RGB', (8, 6)).save(voc / f'JPEGImages/{image_id}.jpg')
    inner = dict(type='PascalVOCDataset', data_root=str(voc), data_prefix=dict(img_path='JPEGImages'),
                 ann_file='ImageSets/Segmentation/trainaug.txt')
    assert len(DATASETS.build(dict(type='ImageLabelDataset', dataset=inner, label_file='image_labels.json'))) == 3


def test_finished_masks_are_kept(folders, script):
    devkit, sbd = folders
    run_converter('voc_aug', devkit, sbd, '--nproc', 1, '--script', script)
    (devkit / 'VOC2012/image_labels.json').unlink()
    run_converter('voc_aug', devkit, sbd, '--script', 'not_needed.py')
    assert (devkit / 'VOC2012/image_labels.json').is_file()


def test_failure_leaves_no_masks_behind(folders):
    devkit, sbd = folders
    with pytest.raises(ValueError, match=r'len\(aug_train_list\) != 10582.*not the full ones'):
        run_converter('voc_aug', devkit, sbd, '--nproc', 1)
    assert not list((devkit / 'VOC2012').glob('*SegmentationClassAug*'))


def test_everything_missing_is_listed(tmp_path, folders):
    devkit, sbd = folders
    (sbd / 'dataset/train.txt').unlink()
    (devkit / 'VOC2012/ImageSets/Segmentation/val.txt').unlink()
    with pytest.raises(FileNotFoundError, match=r'2 things are missing: .*val\.txt, .*dataset/train\.txt'):
        run_converter('voc_aug', devkit, sbd)
    with pytest.raises(FileNotFoundError, match=r'--script'):
        load_converter('voc_aug').find_script(tmp_path / 'lost.py')
