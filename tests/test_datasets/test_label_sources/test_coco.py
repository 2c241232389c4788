import json

import pytest

from mmwsss.datasets import labels_from_coco

INSTANCES = dict(
    images=[dict(id=7, file_name='COCO_train2014_000000000007.jpg', height=4, width=4),
            dict(id=3, file_name='COCO_train2014_000000000003.jpg', height=4, width=4),
            dict(id=9, file_name='COCO_train2014_000000000009.jpg', height=4, width=4)],
    annotations=[dict(image_id=7, category_id=90, iscrowd=0), dict(image_id=7, category_id=1, iscrowd=0),
                 dict(image_id=7, category_id=1, iscrowd=0), dict(image_id=3, category_id=13, iscrowd=1)],
    categories=[dict(id=90, name='toothbrush'), dict(id=1, name='person'), dict(id=13, name='stop sign')])
A, B, C = (f'COCO_train2014_00000000000{k}' for k in (7, 3, 9))


@pytest.fixture
def instances(tmp_path):
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(INSTANCES))
    return path


def test_categories_become_contiguous_in_the_order_of_their_ids(instances):
    labels = labels_from_coco(instances)
    assert labels.classes == ('person', 'stop sign', 'toothbrush')
    assert labels.labels == {A: ('person', 'toothbrush'), B: ('stop sign', ), C: ()}
    assert labels_from_coco(INSTANCES).labels == labels.labels


def test_crowds_and_splits(instances):
    assert labels_from_coco(instances, skip_crowd=True).labels[B] == ()
    assert list(labels_from_coco(instances, ids=[C, A]).labels) == [C, A]
    with pytest.raises(ValueError, match="unknown.*'toothbrush'"):
        labels_from_coco(instances, ['person', 'stop sign'])


def test_other_files_are_refused(tmp_path):
    (tmp_path / 'x.json').write_text('{"images": [], "annotations": []}')
    with pytest.raises(ValueError, match='lacks categories'):
        labels_from_coco(tmp_path / 'x.json')
    (tmp_path / 'x.json').write_text('{')
    with pytest.raises(ValueError, match='not valid JSON'):
        labels_from_coco(tmp_path / 'x.json')
    with pytest.raises(FileNotFoundError, match=r'lost\.json'):
        labels_from_coco(tmp_path / 'lost.json')
