"""The check that keeps image ids inside their folder, and every entrance that ids come through."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmwsss.datasets import (
    ImageLabelDataset,
    ImageLabels,
    labels_from_coco,
    labels_from_folders,
    labels_from_masks,
    labels_from_npy,
    labels_from_table,
    read_ids,
)
from mmwsss.registry import DATASETS
from mmwsss.utils import check_image_id, image_id_of

GOOD = ['a', '2007_000032', 'trip/day 1/c', 'a.b', '..a', 'a..', '.hidden', 'ünï', '写真/一', '-', '~', '12:30']
HOSTILE = [
    '../../outside/evil', '..', 'a/..', 'a/../b', '../a', '/etc/passwd', '//server/share', r'C:\a', 'C:/a', 'C:a',
    r'..\a',
    r'\a', r'\\server\share', '', ' ', '.', './.', 'a\0b', 'a\nb', 'a\tb', '\x7f', 'x' * 300, 'a/' + 'é' * 150, '\udc80'
]
UNCHECKED = ['a/', 'a//b', 'a/./b', r'a\b', None, 3, b'a', 1.5, ('a', )]


@pytest.mark.parametrize('image_id', GOOD)
def test_usual_ids_pass(image_id):
    assert check_image_id(image_id) == image_id
    assert image_id_of(f'./{image_id}.JPG') == image_id


@pytest.mark.parametrize('image_id', [*HOSTILE, *UNCHECKED])
def test_hostile_ids_are_refused(image_id):
    with pytest.raises(ValueError, match=r'^list\.txt, line 3: .* cannot be an image id: .*trip/photo_1'):
        check_image_id(image_id, 'list.txt, line 3')


@pytest.mark.parametrize('image_id', HOSTILE)
def test_no_id_that_passes_leaves_its_folder(image_id, tmp_path):
    """Whatever the check says, no accepted id may lead elsewhere once it is a path."""
    for name in (image_id, f'{image_id}.png', f'./{image_id}'):
        try:
            accepted = image_id_of(name)
        except ValueError:
            continue
        path = Path(tmp_path, f'{accepted}.png').resolve()
        assert path.is_relative_to(tmp_path.resolve())
        assert path.name == f'{accepted.split("/")[-1]}.png'


@pytest.mark.parametrize(('name', 'image_id'), [
    ('a//b.jpg', 'a/b'), ('./a/./b', 'a/b'), (r'sub\a.PNG', 'sub/a'), ('a.b', 'a.b'), ('a.jpg.png', 'a.jpg'),
    (' a.webp ', 'a'), ('a/', 'a')])
def test_names_are_read_as_plainly_meant(name, image_id):
    assert image_id_of(name) == image_id


def write_list(folder, image_id):
    path = folder / 'train.txt'
    path.write_text(f'fine\n{image_id}\n', encoding='utf-8')
    return lambda: read_ids(path)


def write_csv(folder, image_id):
    path = folder / 'tags.csv'
    path.write_text(f'image,tags\nfine,cat\n{image_id},cat\n', encoding='utf-8')
    return lambda: labels_from_table(path, image_root=folder)


def write_json_table(folder, image_id):
    path = folder / 'tags.json'
    path.write_text(json.dumps({'fine': ['cat'], image_id: ['cat']}), encoding='utf-8')
    return lambda: labels_from_table(path, image_root=folder)


def write_label_file(folder, image_id):
    path = folder / 'labels.json'
    path.write_text(json.dumps(dict(classes=['cat'], labels={image_id: ['cat']})), encoding='utf-8')
    return lambda: ImageLabels.load(path)


def write_npy(folder, image_id):
    path = folder / 'cls_labels.npy'
    np.save(path, {image_id: np.ones(1, np.float32)})
    return lambda: labels_from_npy(path, ['cat'])


def write_coco(folder, image_id):
    path = folder / 'instances.json'
    path.write_text(json.dumps(dict(
        images=[dict(id=1, file_name=f'{image_id}.jpg')], annotations=[], categories=[dict(id=1, name='cat')])))
    return lambda: labels_from_coco(path)


def write_split_of_mmseg(folder, image_id):
    (folder / 'images').mkdir()
    Image.new('RGB', (4, 4)).save(folder / 'outside.jpg')
    (folder / 'train.txt').write_text(f'{image_id}\n', encoding='utf-8')
    inner = dict(type='BaseSegDataset', data_root=str(folder), ann_file='train.txt',
                 data_prefix=dict(img_path='images'), metainfo=dict(classes=('background', 'cat')))
    labels = folder / 'labels.json'
    ImageLabels(['cat'], {'a': ['cat']}).save(labels)
    return lambda: ImageLabelDataset(inner, str(labels), pipeline=[])


ENTRANCES = [write_list, write_csv, write_json_table, write_label_file, write_npy, write_coco, write_split_of_mmseg]


@pytest.mark.parametrize('image_id', ['../outside', '../../outside/evil', 'a/../../b'])
@pytest.mark.parametrize('entrance', ENTRANCES)
def test_every_entrance_checks(entrance, image_id, tmp_path):
    with pytest.raises(ValueError, match=r"cannot be an image id: it leaves its folder through '\.\.'") as caught:
        entrance(tmp_path, image_id)()
    assert str(tmp_path) in str(caught.value), 'the file is named'


@pytest.mark.parametrize('image_id', [r'C:\a', '.', '/etc/passwd'])
@pytest.mark.parametrize('entrance', [write_list, write_label_file, write_npy])
def test_entrances_without_an_image_folder_refuse_absolute_names(entrance, image_id, tmp_path):
    with pytest.raises(ValueError, match='cannot be an image id'):
        entrance(tmp_path, image_id)()


@pytest.mark.parametrize('name', ['a\nb', 'a\\b'])
def test_file_names_in_folders_are_checked(name, tmp_path):
    for folder in ('cat', 'masks'):
        (tmp_path / folder).mkdir()
    Image.new('L', (2, 2)).save(tmp_path / 'cat' / f'{name}.png')
    Image.new('L', (2, 2)).save(tmp_path / 'masks' / f'{name}.png')
    with pytest.raises(ValueError, match='cannot be an image id'):
        labels_from_folders(tmp_path)
    with pytest.raises(ValueError, match='cannot be an image id'):
        labels_from_masks(tmp_path / 'masks', ['cat'], ids=[name])
    with pytest.raises(ValueError, match='cannot be an image id'):
        DATASETS.build(dict(type='PhotoDataset', classes='cat', data_root=str(tmp_path),
                            data_prefix=dict(img_path='cat'), serialize_data=False))


def test_ids_in_code_are_checked():
    with pytest.raises(ValueError, match='not text'):
        ImageLabels(['cat'], {1: ['cat']})
