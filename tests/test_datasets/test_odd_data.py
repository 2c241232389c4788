"""One class, turned photographs, odd images and masks that do not fit: what the datasets say."""

import os

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmwsss.datasets import ImageLabels, labels_from_folders, labels_from_masks
from mmwsss.datasets.map_files import write_label_map
from mmwsss.registry import DATASETS
from tests.helpers import REPO

TRAIN = [dict(type='LoadImageFromFile'), dict(type='PackWSSSInputs')]
VAL = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackWSSSInputs')]
ORIENTATION = 0x0112


def save_photo(root, name, size=(12, 8), orientation=None):
    path = root / 'images' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[ORIENTATION] = orientation
    Image.new('RGB', size, (90, 120, 150)).save(path, exif=exif)


def save_mask(root, name, mask):
    (root / 'masks').mkdir(exist_ok=True)
    Image.fromarray(np.asarray(mask, np.uint8)).save(root / 'masks' / name)


def build(root, kind='ImageLabelDataset', masks=False, **kwargs):
    prefix = dict(img_path='images', **(dict(seg_map_path='masks') if masks else {}))
    inner = dict(type='PhotoDataset', classes=kwargs.pop('classes', 'cat,dog'), data_root=str(root), data_prefix=prefix,
                 serialize_data=False)
    return DATASETS.build(dict(type=kind, dataset=inner, **kwargs))


@pytest.fixture
def messages(monkeypatch):
    found = []
    monkeypatch.setattr('mmwsss.datasets.image_label_dataset.print_log', lambda text, **_: found.append(text))
    return found


@pytest.mark.parametrize(('classes', 'labels', 'warned', 'remedy'), [
    (['cat'], dict(a=['cat'], b=['cat'], c=[]), '(cat)', "1 images without a label were left out: set empty='keep'"),
    (['cat'], dict(a=['cat'], b=['cat'], c=['cat']), '(cat)', "label them with [], and set empty='keep'"),
    (['cat', 'dog'], dict(a=['cat', 'dog'], b=['dog', 'cat'], c=['cat', 'dog']), '(cat, dog)', 'add images'),
    (['cat', 'dog'], dict(a=['cat'], b=['dog'], c=[]), None, None),
])
def test_labels_that_are_all_the_same_teach_nothing(tmp_path, messages, classes, labels, warned, remedy):
    for name in 'abc':
        save_photo(tmp_path, f'{name}.jpg')
    ImageLabels(classes, labels).save(tmp_path / 'labels.json')
    build(tmp_path, classes=classes, label_file='labels.json', pipeline=TRAIN)
    found = [message for message in messages if 'nothing can be learned' in message]
    assert len(found) == (warned is not None)
    if warned:
        assert warned in found[0]
        assert remedy in found[0]


def test_keeping_images_without_a_label_ends_the_warning(tmp_path, messages):
    for name in 'abc':
        save_photo(tmp_path, f'{name}.jpg')
    ImageLabels(['cat'], dict(a=['cat'], b=['cat'], c=[])).save(tmp_path / 'labels.json')
    dataset = build(tmp_path, classes='cat', label_file='labels.json', empty='keep', pipeline=TRAIN)
    assert dataset.gt_labels.tolist() == [[1], [1], [0]]
    assert not messages


@pytest.mark.parametrize('orientation', range(1, 9))
def test_pseudo_labels_have_the_size_of_the_turned_photograph(tmp_path, orientation):
    save_photo(tmp_path, 'a.jpg', orientation=orientation)
    plain = build(tmp_path, 'PseudoLabelDataset', pseudo_label_dir=str(tmp_path), missing='skip', lazy_init=True,
                  pipeline=[dict(type='LoadImageFromFile')])
    height, width = plain.pipeline(plain.dataset.get_data_info(0))['img'].shape[:2]
    write_label_map(np.ones((height, width), np.uint8), tmp_path / 'labels/a.png')
    dataset = build(tmp_path, 'PseudoLabelDataset', pseudo_label_dir=str(tmp_path / 'labels'), pipeline=VAL)
    sample = dataset[0]
    assert sample['data_samples'].gt_sem_seg.shape == sample['inputs'].shape[1:] == (height, width)
    write_label_map(np.ones((width, height), np.uint8), tmp_path / 'labels/a.png')
    with pytest.raises(ValueError, match=rf'a\.png has {height}x{width} pixels, its image {width}x{height}'):
        build(tmp_path, 'PseudoLabelDataset', pseudo_label_dir=str(tmp_path / 'labels'), pipeline=VAL)


@pytest.mark.parametrize(('mask', 'message'), [
    (np.zeros((8, 12, 3)), r'mask .*a\.png is a RGB picture'),
    (np.zeros((8, 12, 4)), r'mask .*a\.png is a RGBA picture'),
    (np.zeros((12, 8)), r'mask .*a\.png has 8x12 pixels, its image 12x8'),
    (np.zeros((4, 6)), r'mask .*a\.png has 6x4 pixels, its image 12x8'),
])
@pytest.mark.parametrize('kind', ['ImageLabelDataset', 'PseudoLabelDataset'])
def test_masks_that_do_not_fit_are_named_when_their_turn_comes(tmp_path, kind, mask, message):
    save_photo(tmp_path, 'a.jpg')
    save_mask(tmp_path, 'a.png', mask)
    ImageLabels(['cat', 'dog'], dict(a=['cat'])).save(tmp_path / 'labels.json')
    own = dict(label_file='labels.json', show_masks=True, masks=True) if kind == 'ImageLabelDataset' else dict(
        pseudo_label_dir=str(tmp_path / 'masks'), num_checked=0)
    dataset = build(tmp_path, kind, pipeline=VAL, **own)
    with pytest.raises(RuntimeError, match=rf'image .*a\.jpg .*cannot be processed: ValueError: {message}'):
        dataset[0]


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (3000, 10), (1, 500)])
@pytest.mark.parametrize('config', ['toco/toco_vit-b_voc', 'transcam/transcam_conformer-s_voc',
                                    'mctformer/mctformer-v2_deit-s_voc', 'aream/aream_deit-s_voc'])
def test_odd_sizes_pass_the_training_pipelines(tmp_path, size, config):
    steps = Config.fromfile(REPO / f'configs/{config}.py', format_python_code=False).train_dataloader.dataset.pipeline
    save_photo(tmp_path, 'a.png', size)
    save_photo(tmp_path, 'b.png', size)
    ImageLabels(['cat', 'dog'], dict(a=['cat'], b=['dog'])).save(tmp_path / 'labels.json')
    sample = build(tmp_path, label_file='labels.json', pipeline=steps)[0]
    inputs = sample['inputs']['main'] if isinstance(sample['inputs'], dict) else sample['inputs']
    assert inputs.shape[1] == inputs.shape[2] > 200


def test_pipes_and_broken_links_are_named_and_not_opened(tmp_path):
    save_photo(tmp_path, 'a.jpg')
    os.mkfifo(tmp_path / 'images/pipe.jpg')
    (tmp_path / 'images/link.jpg').symlink_to(tmp_path / 'nowhere.jpg')
    (tmp_path / 'images/folder.jpg').mkdir()
    with pytest.raises(FileNotFoundError, match=r'2 of 3 images are broken links or not regular files: .*link.*pipe'):
        build(tmp_path, label_file='labels.json', pipeline=TRAIN)
    (tmp_path / 'cat').mkdir()
    os.mkfifo(tmp_path / 'cat/pipe.jpg')
    with pytest.raises(FileNotFoundError, match=r'1 images below .*pipe\.jpg'):
        labels_from_folders(tmp_path)


def test_a_pipe_in_the_place_of_a_mask(tmp_path):
    save_photo(tmp_path, 'a.jpg')
    (tmp_path / 'masks').mkdir()
    os.mkfifo(tmp_path / 'masks/a.png')
    with pytest.raises(FileNotFoundError, match=r'a\.png.*broken links, folders and pipes count as missing'):
        build(tmp_path, masks=True, labels_from_masks=True, show_masks=True, pipeline=VAL)
    with pytest.raises(FileNotFoundError, match=r'1 of 1 images .* have no pseudo label'):
        build(tmp_path, 'PseudoLabelDataset', pseudo_label_dir=str(tmp_path / 'masks'), pipeline=VAL)


def test_oversized_images_name_the_setting(tmp_path, monkeypatch):
    save_photo(tmp_path, 'a.png', (64, 64))
    ImageLabels(['cat', 'dog'], dict(a=['cat'])).save(tmp_path / 'labels.json')
    dataset = build(tmp_path, label_file='labels.json',
                    pipeline=[dict(type='LoadImageFromFile', imdecode_backend='pillow')])
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    with pytest.raises(RuntimeError, match=r'a\.png .*PIL\.Image\.MAX_IMAGE_PIXELS to allow larger images'):
        dataset[0]


def test_binary_masks_of_0_and_255_are_noticed(tmp_path, monkeypatch):
    messages = []
    monkeypatch.setattr('mmwsss.datasets.label_sources.folders.print_log', lambda text, **_: messages.append(text))
    save_mask(tmp_path, 'a.png', [[0, 255]])
    assert labels_from_masks(tmp_path / 'masks', ['cat']).labels == {'a': ()}
    assert len(messages) == 1
    assert 'if 255 marks objects' in messages[0]
    save_mask(tmp_path, 'b.png', [[0, 1]])
    labels_from_masks(tmp_path / 'masks', ['cat'])
    assert len(messages) == 1


@pytest.mark.parametrize(('value', 'kind'), [(-1, np.int32), (300, np.int32), (300, np.uint16), (7, np.uint8)])
def test_mask_values_beyond_the_classes(tmp_path, value, kind):
    (tmp_path / 'masks').mkdir()
    Image.fromarray(np.array([[0, value]], kind)).save(tmp_path / 'masks/a.tif')
    with pytest.raises(ValueError, match=rf'1 of 1 masks .* a has the value {value}'):
        labels_from_masks(tmp_path / 'masks', ['cat', 'dog'], suffix='.tif')
