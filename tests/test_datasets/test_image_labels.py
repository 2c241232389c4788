import json

import numpy as np
import pytest

from mmwsss.datasets import ImageLabels


@pytest.fixture
def labels():
    return ImageLabels(('cat', 'dog', 'cow'), dict(a=['dog', 'cat', 'dog'], b=[], c=['dog']), dict(kind='test'))


def test_multi_hot_follows_the_class_order(labels):
    assert labels.labels['a'] == ('cat', 'dog')
    vector = labels.to_multi_hot('a')
    assert vector.dtype == np.float32
    assert vector.tolist() == [1, 1, 0]
    assert labels.to_multi_hot('b').tolist() == [0, 0, 0]
    with pytest.raises(KeyError, match="'A'.*did you mean 'a'"):
        labels.to_multi_hot('A')


def test_matrix_in_the_order_of_another_class_list(labels):
    matrix = labels.multi_hot_matrix(['c', 'a'], ('dog', 'pig', 'cat'))
    assert matrix.dtype == np.uint8
    assert matrix.tolist() == [[1, 0, 0], [1, 0, 1]]
    with pytest.raises(ValueError, match="'dog'.*2 times, first for image 'c'.*Known classes: cat"):
        labels.multi_hot_matrix(['c', 'a'], ('cat', ))
    assert labels.multi_hot_matrix(['c', 'a'], ('cat', ), ignored=['dog']).tolist() == [[0], [1]]


def test_save_and_load_round_trip(labels, tmp_path):
    path = tmp_path / 'new' / 'labels.json'
    labels.save(path)
    assert ImageLabels.load(path) == labels
    assert ImageLabels.load(path).source == dict(kind='test')
    data = json.loads(path.read_text())
    assert data['classes'] == ['cat', 'dog', 'cow']
    assert data['labels'] == dict(a=['cat', 'dog'], b=[], c=['dog'])


def test_labels_are_frozen(labels):
    with pytest.raises(AttributeError):
        labels.classes = ('cat', )


def test_summary(labels):
    summary = labels.summary()
    assert (summary.num_images, summary.num_labels, summary.labels_per_image) == (3, 3, 1.0)
    assert summary.without_label == ('b', )
    assert summary.images_per_class == dict(cat=1, dog=2, cow=0)
    assert summary.classes_without_image == ('cow', )


def test_subset(labels):
    assert list(labels.subset(['c', 'a']).labels) == ['c', 'a']
    with pytest.raises(ValueError, match="7 of 8 images.*'x0', 'x1', 'x2', 'x3', 'x4' and 2 more"):
        labels.subset(['a', *(f'x{k}' for k in range(7))])


def test_unknown_class_names_are_listed_once_with_count_and_hint():
    with pytest.raises(ValueError, match=r"2 unknown.*'Cat' \(did you mean 'cat'\?\), 2 times, first for image 'b'"):
        ImageLabels(('cat', ), dict(a=['cat'], b=['Cat'], c=['Cat', 'lion']))


@pytest.mark.parametrize('text', [
    '[]', '{"classes": ["a"]}', '{"a": ["cat"]}', '{"classes": ["a"], "labels": {"x": "a"}}'])
def test_other_layouts_are_refused_with_the_way_out(tmp_path, text):
    path = tmp_path / 'labels.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=r'labels\.json.*image_labels\.py'):
        ImageLabels.load(path)


def test_load_errors_name_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'lost\.json.*image_labels\.py'):
        ImageLabels.load(tmp_path / 'lost.json')
    path = tmp_path / 'labels.json'
    path.write_text('{"classes": ["a"')
    with pytest.raises(ValueError, match=r'labels\.json is not valid JSON'):
        ImageLabels.load(path)
    path.write_text('{"classes": ["a"], "labels": {"x": ["b"]}}')
    with pytest.raises(ValueError, match=r"labels\.json: 1 unknown.*'b'"):
        ImageLabels.load(path)
    np.save(tmp_path / 'labels.npy', dict(a=np.ones(1, np.float32)))
    with pytest.raises(ValueError, match='give classes'):
        ImageLabels.load(tmp_path / 'labels.npy')
    assert ImageLabels.load(tmp_path / 'labels.npy', ['cat']).labels == dict(a=('cat', ))
