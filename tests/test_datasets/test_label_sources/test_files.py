"""Masks, VOC XML, class folders, pickled dictionaries."""

import numpy as np
import pytest
from PIL import Image

from mmwsss.datasets import labels_from_folders, labels_from_masks, labels_from_npy, labels_from_voc_xml
from mmwsss.datasets.label_sources import mask_values
from tests.helpers import CLASSES, write_voc_folder


def save_mask(path, rows, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.array(rows, np.uint8))
    if mode == 'P':
        image = image.convert('P')
        image.putpalette([k for k in range(256) for _ in range(3)][::-1])
        image.putdata(np.array(rows).ravel().tolist())
    image.save(path)


def test_masks(tmp_path):
    save_mask(tmp_path / 'a.png', [[0, 1], [3, 255]])
    save_mask(tmp_path / 'sub/b.png', [[0, 2], [2, 2]], mode='P')
    save_mask(tmp_path / 'c.png', [[0, 0], [255, 0]])
    labels = labels_from_masks(tmp_path, ['x', 'y', 'z'])
    assert labels.labels == {'a': ('x', 'z'), 'c': (), 'sub/b': ('y', )}
    assert labels_from_masks(tmp_path, ['x', 'y', 'z'], ids=['sub/b']).labels == {'sub/b': ('y', )}
    assert labels_from_masks(tmp_path, ['x', 'y', 'z'], min_pixels=2).labels == {'a': (), 'c': (), 'sub/b': ('y', )}


def test_masks_of_the_voc_like_folder(tmp_path):
    root = write_voc_folder(tmp_path)
    labels = labels_from_masks(root / 'SegmentationClass', CLASSES)
    assert [labels.labels[f'img_00{k}'] for k in range(3)] == [('disc', ), ('bar', ), ('disc', 'bar')]


def test_mask_errors_are_collected(tmp_path):
    for k in range(7):
        save_mask(tmp_path / f'm{k}.png', [[k, 0]])
    (tmp_path / 'm7.png').write_bytes(b'no picture')
    with pytest.raises(ValueError, match=r'6 of 8 masks.*do not fit 1 foreground.*m2 has the value 2') as caught:
        labels_from_masks(tmp_path, ['x'], ids=[f'm{k}' for k in range(8)])
    assert 'm6' in str(caught.value)
    assert 'm7' not in str(caught.value)  # only the first five are listed
    with pytest.raises(ValueError, match=r'm7\.png cannot be read'):
        labels_from_masks(tmp_path, ['x'], ids=['m0', 'm7'])
    with pytest.raises(FileNotFoundError, match=r"2 of 3 masks.*y\.png.*z\.png"):
        labels_from_masks(tmp_path, ['x'], ids=['m0', 'y', 'z'])
    with pytest.raises(FileNotFoundError, match='elsewhere'):
        labels_from_masks(tmp_path / 'elsewhere', ['x'])


def test_colored_pictures_are_no_masks(tmp_path):
    Image.new('RGB', (2, 2)).save(tmp_path / 'a.png')
    with pytest.raises(ValueError, match='RGB picture'):
        mask_values(tmp_path / 'a.png')


def write_xml(path, objects):
    part = '<part><name>head</name></part>'
    body = ''.join(f'<object><name>{name}</name><difficult>{difficult}</difficult>{part}</object>'
                   for name, difficult in objects)
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'<annotation><filename>x.jpg</filename>{body}</annotation>')


def test_voc_xml(tmp_path):
    folder = tmp_path / 'Annotations'
    write_xml(folder / 'a.xml', [('dog', 0), ('cat', 1), ('dog', 0)])
    write_xml(folder / 'b.xml', [('cat', 1)])
    assert labels_from_voc_xml(folder).labels == {'a': ('cat', 'dog'), 'b': ('cat', )}
    assert labels_from_voc_xml(folder, skip_difficult=True).labels == {'a': ('dog', ), 'b': ()}
    assert labels_from_voc_xml(folder, ['dog', 'cat'], ids=['b']).classes == ('dog', 'cat')
    with pytest.raises(ValueError, match="unknown.*'cat'"):
        labels_from_voc_xml(folder, ['dog'])
    with pytest.raises(FileNotFoundError, match=r'1 of 2 XML.*z\.xml'):
        labels_from_voc_xml(folder, ids=['a', 'z'])
    (folder / 'b.xml').write_text('<annotation>')
    with pytest.raises(ValueError, match=r'b\.xml is not valid XML'):
        labels_from_voc_xml(folder)


def test_folder_per_class(tmp_path):
    for name in ('cat/1.jpg', 'cat/new/2.PNG', 'dog/1.jpeg', 'background/3.jpg', 'notes/readme.txt'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    labels = labels_from_folders(tmp_path)
    assert labels.classes == ('cat', 'dog')
    assert labels.labels == {'cat/1': ('cat', ), 'cat/new/2': ('cat', ), 'dog/1': ('dog', ), 'background/3': ()}
    assert labels_from_folders(tmp_path, flat_ids=True).labels == {'1': ('cat', 'dog'), '2': ('cat', ), '3': ()}
    with pytest.raises(ValueError, match="unknown.*'dog'"):
        labels_from_folders(tmp_path, ['cat'])
    with pytest.raises(FileNotFoundError, match='no folder with images'):
        labels_from_folders(tmp_path / 'notes')


def test_pickled_dictionaries(tmp_path):
    path = tmp_path / 'cls_labels.npy'
    np.save(path, {'2007_000032': np.array([1, 0], np.float32), 2007000033: np.array([1, 1], np.uint8),
                   np.int64(2010006070): [0, 0]})
    labels = labels_from_npy(path, ['cat', 'dog'])
    assert labels.labels == {'2007_000032': ('cat', ), '2007_000033': ('cat', 'dog'), '2010_006070': ()}
    assert list(labels_from_npy(path, ['cat', 'dog'], ids=['2007_000033']).labels) == ['2007_000033']
    with pytest.raises(ValueError, match="1 of 1 images have no entry.*'x'; its ids look like '2007_000032'"):
        labels_from_npy(path, ['cat', 'dog'], ids=['x'])


def test_integer_keys_of_coco_need_a_format(tmp_path):
    path = tmp_path / 'cls_labels.npy'
    np.save(path, {9: np.array([1], np.float32)})
    with pytest.raises(ValueError, match='9: an integer key'):
        labels_from_npy(path, ['cat'])
    assert list(labels_from_npy(path, ['cat'], id_format='COCO_train2014_{:012d}').labels) == [
        'COCO_train2014_000000000009']


@pytest.mark.parametrize(('content', 'message'), [
    ({'a': np.ones(3)}, r"'a': expected a vector of 2 classes, got the shape \(3,\) \(it seems to count"),
    ({'a': np.array([0.5, 0])}, 'must be 0 or 1'),
    ({(1, 2): np.ones(2)}, 'must be str or int, got tuple'),
    ({}, 'pickled dict'),
])
def test_malformed_dictionaries(tmp_path, content, message):
    np.save(tmp_path / 'x.npy', content)
    with pytest.raises(ValueError, match=message):
        labels_from_npy(tmp_path / 'x.npy', ['cat', 'dog'])


def test_plain_array_is_no_dictionary(tmp_path):
    np.save(tmp_path / 'x.npy', np.ones((2, 2)))
    with pytest.raises(ValueError, match='got ndarray'):
        labels_from_npy(tmp_path / 'x.npy', ['cat', 'dog'])
