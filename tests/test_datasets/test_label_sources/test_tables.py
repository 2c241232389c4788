import json

import pytest

from mmwsss.datasets import labels_from_table

EXPECTED = {'a': ('cat', 'guinea pig'), 'sub/b': ('guinea pig', ), 'c': ()}

FORMS = {
    'semicolons.csv': 'image,tags\na.jpg,cat;guinea pig\nsub/b.PNG,guinea pig\nc.jpg,\n',
    'bars.csv': 'file,label\na.jpg,cat|guinea pig\n./sub/b.jpg,guinea pig\nc.jpg,\n',
    'quoted.csv': 'image,tags\na.jpg,"cat, guinea pig"\n"sub/b.jpg",guinea pig\nc.jpg,""\n',
    'excel.csv': '\ufeffimage;tags\na.jpg;cat,guinea pig\nsub\\b.jpg;guinea pig\nc.jpg;\n',
    'no_header.csv': 'a.jpg,cat;guinea pig\nsub/b.jpg,guinea pig\nc.jpg,\n',
    'ragged.csv': 'a.jpg,cat,guinea pig\nsub/b.jpg,guinea pig\nc.jpg\n',
    'ragged_header.csv': 'image,tags\na.jpg,cat,guinea pig\nsub/b.jpg,guinea pig\nc.jpg\n',
    'pairs.csv': 'image,tag\na.jpg,guinea pig\nsub/b.jpg,guinea pig\na.jpg,cat\nc.jpg,background\n',
    'other_columns.csv': 'id,width,tags,author\na,30,cat;guinea pig,x\nsub/b,40,guinea pig,y\nc,50,,z\n',
    'tags_first.csv': 'tags,image\ncat;guinea pig,a.jpg\nguinea pig,sub/b.jpg\n,c.jpg\n',
    'one_hot.csv': 'image,cat,guinea pig\na.jpg,1,1\nsub/b.jpg,0,1\nc.jpg,0,0\n',
    'one_hot_words.csv': 'image;background;cat;guinea pig\na.jpg;yes;x;TRUE\nsub/b.jpg;yes;;true\nc.jpg;yes;;\n',
    'tabs.tsv': 'image\ttags\na.jpg\tcat;guinea pig\nsub/b.jpg\tguinea pig\nc.jpg\t\n',
    'tabs.txt': 'a.jpg\tcat\tguinea pig\nsub/b.jpg\tguinea pig\nc.jpg\t\n',
    'map.json': json.dumps({'a.jpg': ['cat', 'guinea pig'], 'sub/b.jpg': ['guinea pig'], 'c.jpg': []}),
    'strings.json': json.dumps({'a.jpg': 'cat;guinea pig', 'sub/b.jpg': 'guinea pig', 'c.jpg': None}),
    'one_hot.json': json.dumps({'a': {'cat': 1, 'guinea pig': True}, 'sub/b': {'cat': 0, 'guinea pig': 1}, 'c': {}}),
    'canonical.json': json.dumps(dict(classes=['cat', 'guinea pig'],
                                      labels={'a': ['cat', 'guinea pig'], 'sub/b': ['guinea pig'], 'c': []})),
    'records.json': json.dumps([dict(image='a.jpg', tags=['cat', 'guinea pig']),
                                dict(image='sub/b.jpg', tags='guinea pig'), dict(image='c.jpg', tags=[])]),
    'records.jsonl': '{"file_name": "a.jpg", "labels": ["guinea pig", "cat"]}\n'
                     '{"file_name": "sub/b.jpg", "labels": "guinea pig"}\n\n{"file_name": "c.jpg", "labels": ""}\n',
}


@pytest.mark.parametrize('name', FORMS)
def test_all_forms_give_the_same_labels(tmp_path, name):
    path = tmp_path / name
    path.write_text(FORMS[name], encoding='utf-8')
    labels = labels_from_table(path)
    assert labels.classes == ('cat', 'guinea pig')
    assert labels.labels == EXPECTED


def test_classes_give_the_order_and_are_enforced(tmp_path):
    path = tmp_path / 'tags.csv'
    path.write_text(FORMS['semicolons.csv'])
    assert labels_from_table(path, ['guinea pig', 'dog', 'cat']).classes == ('guinea pig', 'dog', 'cat')
    with pytest.raises(ValueError, match=r"tags\.csv: 1 unknown.*'guinea pig'.*2 times.*Known classes: cat"):
        labels_from_table(path, ['cat'])


def test_one_hot_columns_keep_their_order(tmp_path):
    path = tmp_path / 'tags.csv'
    path.write_text('image,zebra,ant\na,0,1\n')
    assert labels_from_table(path).classes == ('zebra', 'ant')


def test_split_restricts_and_orders(tmp_path):
    path = tmp_path / 'tags.csv'
    path.write_text(FORMS['semicolons.csv'])
    assert list(labels_from_table(path, ids=['c', 'a']).labels) == ['c', 'a']
    with pytest.raises(ValueError, match=r"tags\.csv: 1 of 2.*'z'"):
        labels_from_table(path, ids=['a', 'z'])


def test_absolute_paths_need_the_image_folder(tmp_path):
    path = tmp_path / 'tags.csv'
    path.write_text(f'image,tags\n{tmp_path}/photos/sub/a.jpg,cat\n')
    with pytest.raises(ValueError, match='absolute paths.*--images'):
        labels_from_table(path)
    assert labels_from_table(path, image_root=tmp_path / 'photos').labels == {'sub/a': ('cat', )}
    with pytest.raises(ValueError, match='is not in'):
        labels_from_table(path, image_root=tmp_path / 'elsewhere')


@pytest.mark.parametrize(('name', 'text', 'message'), [
    ('x.csv', 'a.jpg cat\nb.jpg dog\n', "one column only.*'a.jpg cat'"),
    ('x.csv', '\n', 'empty'),
    ('x.json', '{', 'not valid JSON'),
    ('x.json', '3', 'got int'),
    ('x.json', '[{"image": "a"}]', "the keys 'image'"),
    ('x.csv', 'a.jpg,\nb.jpg,\n', 'no foreground class'),
])
def test_hopeless_tables(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        labels_from_table(tmp_path / name)


def test_missing_table(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'lost\.csv'):
        labels_from_table(tmp_path / 'lost.csv')
