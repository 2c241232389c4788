"""COCO files as people really send them."""

import copy
import json

import pytest

from mmwsss.datasets import labels_from_coco
from mmwsss.datasets.coco import CocoCategories, paint_instances

INSTANCES = dict(
    images=[dict(id=7, file_name='a.jpg'), dict(id=3, file_name='sub/b.jpg')],
    annotations=[dict(image_id=7, category_id=2), dict(image_id=3, category_id=5)],
    categories=[dict(id=2, name='cat'), dict(id=5, name='dog')])
LABELS = {'a': ('cat', ), 'sub/b': ('dog', )}


@pytest.mark.parametrize('background', [
    (0, 'background'), (0, '__background__'), (1, 'Background'), (3, '_background_'), (9, 'background')])
def test_a_category_background_is_no_class_and_moves_none(background):
    number, name = background
    data = copy.deepcopy(INSTANCES)
    data['categories'].insert(0, dict(id=number, name=name))
    data['annotations'].append(dict(image_id=7, category_id=number))
    labels = labels_from_coco(data)
    assert labels.classes == ('cat', 'dog')
    assert labels.labels == LABELS
    categories = CocoCategories.from_instances(data)
    assert categories.indices == {2: 1, 5: 2, number: 0}


def test_background_objects_are_not_painted():
    pytest.importorskip('pycocotools.mask', reason='COCO annotations need pycocotools')
    box = [[0, 0, 4, 0, 4, 4, 0, 4]]
    small = [[0, 0, 2, 0, 2, 2, 0, 2]]
    annotations = [dict(segmentation=box, category_id=2), dict(segmentation=small, category_id=0)]
    assert (paint_instances(4, 4, annotations, {0: 0, 2: 1}) == 1).all()


def change(key, place, **values):
    def apply(data):
        data[key][place].update(values)
    return apply


def remove(key, place, field):
    def apply(data):
        del data[key][place][field]
    return apply


def add(key, **values):
    def apply(data):
        data[key].append(values)
    return apply


def replace(key, value):
    def apply(data):
        data[key] = value
    return apply


@pytest.mark.parametrize(('apply', 'message'), [
    (change('annotations', 1, category_id=4), 'entry 1 of annotations has the category_id 4, which none of the 2'),
    (change('annotations', 0, image_id=70), 'entry 0 of annotations has the image_id 70, which none of the 2 images'),
    (remove('annotations', 0, 'category_id'), "entry 0 of annotations has no 'category_id'"),
    (remove('annotations', 1, 'image_id'), "entry 1 of annotations has no 'image_id'"),
    (remove('images', 0, 'id'), "entry 0 of images has no 'id'"),
    (remove('images', 1, 'file_name'), "entry 1 of images has no 'file_name'"),
    (remove('categories', 0, 'name'), "entry 0 of categories has no 'name'"),
    (change('categories', 0, id='x'), "entry 0 of categories has the id 'x', expected a whole number"),
    (change('categories', 0, id=None), 'expected a whole number'),
    (change('categories', 1, id=2), 'categories has the id 2 more than once'),
    (change('categories', 1, name='cat'), "more than once: 'cat'"),
    (change('categories', 1, name=None), 'has the name None, expected text'),
    (change('categories', 0, name=' '), 'the category 2 has a blank name'),
    (change('images', 1, id=7), 'images has the id 7 more than once'),
    (change('images', 1, file_name='a.png'), "two images with the id 'a'"),
    (change('images', 1, file_name='../b.jpg'), r"image 3: '\.\./b' cannot be an image id"),
    (change('images', 1, file_name=3), 'has the file_name 3, expected text'),
    (add('annotations'), "entry 2 of annotations has no 'image_id'"),
    (replace('images', {}), 'lacks images'),
    (replace('annotations', None), 'lacks annotations'),
    (replace('categories', []), 'category_id 2, which none of the 0 categories has'),
    (replace('images', [3]), "entry 0 of images has no 'id'"),
])
def test_other_layouts_name_file_and_entry(tmp_path, apply, message):
    data = copy.deepcopy(INSTANCES)
    apply(data)
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=message):
        labels_from_coco(data)
    with pytest.raises(ValueError, match=message) as caught:
        labels_from_coco(path)
    assert 'more than once: ' in str(caught.value) or 'instances.json' in str(caught.value)


@pytest.mark.parametrize(('segmentation', 'message'), [
    (None, 'got NoneType'), ('x', 'got str'), ([[0, 0, 1, 1, 2]], 'a polygon must be'), ([3], 'a polygon must be'),
    ([[0, 0, 1, float('nan'), 2, 2]], 'a polygon must be'), (dict(counts=[1, 2]), 'got dict'),
    (dict(counts=[1, 2], size=[2, 2]), r'add up to 3 pixels in an image of 2 x 2'),
    (dict(counts=[1, 20000], size=[2, 2]), 'add up to 20001'),
    (dict(counts=[4], size=[1, 4]), r'size \[1, 4\] in an image of \[2, 2\]'),
])
def test_odd_segmentations(segmentation, message):
    pytest.importorskip('pycocotools.mask', reason='COCO annotations need pycocotools')
    with pytest.raises(ValueError, match=message):
        paint_instances(2, 2, [dict(segmentation=segmentation, category_id=1)], {1: 1})


def test_unknown_categories_are_named_when_painting():
    with pytest.raises(ValueError, match=r'category id 9, which is not one of \[1\]'):
        paint_instances(2, 2, [dict(segmentation=[], category_id=9)], {1: 1})
