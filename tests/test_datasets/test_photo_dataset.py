import numpy as np
import pytest
from PIL import Image

from mmwsss.datasets import ImageLabelDataset, labels_from_masks
from mmwsss.registry import DATASETS
from tests.helpers import CLASSES, REPO, write_voc_folder

MSRC = REPO.parent / 'shared' / 'data' / 'msrc15'


@pytest.fixture
def root(tmp_path):
    for name in ('a.jpg', 'b.JPEG', 'sub/c.png', 'sub/.hidden.jpg', '.thumbs/d.jpg'):
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (6, 4)).save(path, format='PNG' if name.endswith('png') else 'JPEG')
    (tmp_path / 'images/notes.txt').write_text('no image')
    (tmp_path / 'classes.txt').write_text('cat\ndog\n')
    return tmp_path


def build(root, **kwargs):
    cfg = dict(type='PhotoDataset', data_root=str(root), classes='classes.txt', data_prefix=dict(img_path='images'),
               serialize_data=False)
    return DATASETS.build({**cfg, **kwargs})


def test_all_suffixes_below_the_folder(root):
    dataset = build(root)
    infos = [dataset.get_data_info(k) for k in range(len(dataset))]
    assert [info['image_id'] for info in infos] == ['a', 'b', 'sub/c']
    assert infos[1]['img_path'].endswith('images/b.JPEG')
    assert all('seg_map_path' not in info for info in infos)
    assert dataset.metainfo['classes'] == ('background', 'cat', 'dog')
    assert dataset.metainfo['palette'][1] == [128, 0, 0]


def test_colors_of_other_classes_are_refused(root):
    with pytest.raises(ValueError, match='colors for 2 classes.*there are 3.*cat.*--classes'):
        build(root, metainfo=dict(palette=[(0, 0, 0), (255, 0, 0)]))


def test_split_list_and_masks(root):
    (root / 'val.txt').write_text('sub/c.png\n\nb\n')
    dataset = build(root, ann_file='val.txt', data_prefix=dict(img_path='images', seg_map_path='masks'))
    infos = [dataset.get_data_info(k) for k in range(len(dataset))]
    assert [info['image_id'] for info in infos] == ['sub/c', 'b']
    assert infos[0]['seg_map_path'] == str(root / 'masks/sub/c.png')


@pytest.mark.parametrize('classes', [['background', 'cat', 'dog'], 'cat,dog'])
def test_other_class_lists(root, classes):
    assert build(root, classes=classes).metainfo['classes'] == ('background', 'cat', 'dog')


def test_masks_inside_the_image_folder_are_no_images(root):
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(root / 'images/sub/m.png')
    dataset = build(root, data_prefix=dict(img_path='images', seg_map_path='images/sub'))
    assert len(dataset) == 2


def test_problems_are_reported_together(root):
    (root / 'val.txt').write_text('a\n' + ''.join(f'ghost_{k}\n' for k in range(7)))
    with pytest.raises(FileNotFoundError, match=r"7 of 8 images of .*val\.txt.*'ghost_0'.*and 2 more.*\.jpg, \.jpeg"):
        build(root, ann_file='val.txt')
    Image.new('RGB', (6, 4)).save(root / 'images/a.png')
    with pytest.raises(ValueError, match=r"1 image ids stand for several files.*a\.jpg.*a\.png"):
        build(root)
    assert len(build(root, img_suffixes=['.jpg', '.jpeg'])) == 2
    with pytest.raises(ValueError, match=r'no image with one of the suffixes \.bmp'):
        build(root, img_suffixes=['.bmp'])
    with pytest.raises(FileNotFoundError, match='nowhere'):
        build(root, data_prefix=dict(img_path='nowhere'))
    with pytest.raises(FileNotFoundError, match=r'lost\.txt'):
        build(root, ann_file='lost.txt')
    with pytest.raises(FileNotFoundError, match=r'no_classes\.txt'):
        build(root, classes='no_classes.txt')


def test_equals_mmsegs_dataset_on_its_own_ground(tmp_path):
    root = write_voc_folder(tmp_path)
    common = dict(data_root=str(root), ann_file='ImageSets/Segmentation/train.txt', serialize_data=False,
                  data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
                  pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')])
    ours = DATASETS.build(dict(type='PhotoDataset', classes=CLASSES, **common))
    theirs = DATASETS.build(dict(type='BaseSegDataset', metainfo=dict(classes=('background', *CLASSES)), **common))
    for k in range(len(theirs)):
        a, b = ours[k], theirs[k]
        assert (a['img'] == b['img']).all()
        assert (a['gt_seg_map'] == b['gt_seg_map']).all()
        assert a['img_path'] == b['img_path']


@pytest.mark.skipif(not MSRC.is_dir(), reason='needs ../shared/data/msrc15 beside the repository')
def test_real_photographs(tmp_path):
    cfg = dict(type='PhotoDataset', data_root=str(MSRC), classes='classes.txt', serialize_data=False,
               data_prefix=dict(img_path='JPEGImages'), ann_file='ImageSets/Segmentation/no_foreground.txt')
    train = dict(cfg, ann_file='ImageSets/Segmentation/train.txt')
    names = DATASETS.build(train).metainfo['classes']
    labels = labels_from_masks(MSRC / 'SegmentationClass', names)
    labels.save(tmp_path / 'labels.json')
    dataset = ImageLabelDataset(train, str(tmp_path / 'labels.json'))
    assert len(dataset) == 365
    assert dataset.gt_labels.sum() == round(1.1643835616438356 * 365)
    with pytest.raises(ValueError, match='none of the 97 images'):
        ImageLabelDataset(cfg, str(tmp_path / 'labels.json'))
