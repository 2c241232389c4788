import json

import pytest

from mmwsss.datasets import foreground_classes, image_id_of, read_class_names, read_ids


@pytest.mark.parametrize('text', [
    'background\ncat\n\nguinea pig \n', 'cat\r\nguinea pig', '\ufeffBackground\ncat\nguinea pig'])
def test_class_lists_with_and_without_background(tmp_path, text):
    path = tmp_path / 'classes.txt'
    path.write_text(text, encoding='utf-8')
    assert read_class_names(path) == ('cat', 'guinea pig')
    assert read_class_names(str(path)) == ('cat', 'guinea pig')


def test_other_forms_of_class_lists(tmp_path):
    path = tmp_path / 'classes.json'
    path.write_text(json.dumps(['__background__', 'cat']))
    assert read_class_names(path) == ('cat', )
    path.write_text(json.dumps(dict(classes=['cat'], labels={})))
    assert read_class_names(path) == ('cat', )
    assert read_class_names('cat, guinea pig') == ('cat', 'guinea pig')
    assert read_class_names(['cat']) == ('cat', )


@pytest.mark.parametrize(('source', 'error', 'message'), [
    ('lost.txt', FileNotFoundError, r'lost\.txt'),
    ('cat,dog,cat', ValueError, "more than once: 'cat'"),
    ('cat,background', ValueError, 'must stand first'),
    (['background'], ValueError, 'no foreground class'),
])
def test_unusable_class_lists(source, error, message):
    with pytest.raises(error, match=message):
        read_class_names(source)


def test_foreground_classes():
    assert foreground_classes(['background', 'a', 'b']) == ('a', 'b')
    for wrong in ([], None, ['background'], ['a', 'background']):
        with pytest.raises(ValueError, match='background'):
            foreground_classes(wrong)


@pytest.mark.parametrize(('name', 'image_id'), [
    ('a.jpg', 'a'), ('./sub/b.JPEG', 'sub/b'), ('sub\\c.png', 'sub/c'), (' v1.2 ', 'v1.2'),
    ('2007_000032', '2007_000032')])
def test_image_ids(name, image_id):
    assert image_id_of(name) == image_id


def test_read_ids(tmp_path):
    path = tmp_path / 'train.txt'
    path.write_text('a\n\nsub/b.jpg\n')
    assert read_ids(path) == ['a', 'sub/b']
    path.write_text('a\nb\na.jpg\n')
    with pytest.raises(ValueError, match="1 images more than once: 'a'"):
        read_ids(path)
    path.write_text('\n')
    with pytest.raises(ValueError, match='empty'):
        read_ids(path)
    with pytest.raises(FileNotFoundError, match=r'lost\.txt'):
        read_ids(tmp_path / 'lost.txt')
