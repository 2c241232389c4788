"""Text and JSON as people save them."""

import os

import pytest

from mmwsss.utils import parse_json, read_json, read_text

TEXT = 'image,tags\na,Käse\n'


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-32'])
def test_unicode_encodings_are_read(tmp_path, encoding):
    path = tmp_path / 'a.csv'
    path.write_bytes(TEXT.encode(encoding))
    assert read_text(path) == TEXT


@pytest.mark.parametrize(('content', 'message'), [
    (TEXT.encode('cp1252'), r'tags .*a\.csv is not valid UTF-8 text: line 2 has the byte 0xe4\. Save it as UTF-8'),
    ('image,tags\n'.encode('utf-16-le'), r'a\.csv contains a NUL character in line 1'),
    (b'\xff\xfea', 'is not valid UTF-16'),
])
def test_other_encodings_are_named(tmp_path, content, message):
    path = tmp_path / 'a.csv'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_text(path, 'tags')


def test_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'split list .*lost\.txt does not exist'):
        read_text(tmp_path / 'lost.txt', 'split list')
    with pytest.raises(ValueError, match='not a regular file'):
        read_text(tmp_path)
    os.mkfifo(tmp_path / 'pipe.txt')
    with pytest.raises(ValueError, match=r'pipe\.txt is not a regular file'):
        read_text(tmp_path / 'pipe.txt')


@pytest.mark.parametrize(('text', 'message'), [
    ('{"a": 1, "a": 2}', "^file x: the key 'a' occurs twice"),
    ('{"b": {"a": [], "a": []}}', "the key 'a' occurs twice"),
    ('[NaN]', 'contains NaN'),
    ('[-Infinity]', 'contains -Infinity'),
    ('{', '^file x is not valid JSON'),
    ('', '^file x is not valid JSON'),
    ('[' * 100000, '^file x is not valid JSON'),
])
def test_ambiguous_json_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text, 'file x')


def test_json_files(tmp_path):
    (tmp_path / 'a.json').write_text('\ufeff{"a": [1, null]}', encoding='utf-8')
    assert read_json(tmp_path / 'a.json') == {'a': [1, None]}
    (tmp_path / 'a.json').write_text('{"a": 1, "a": 1}')
    with pytest.raises(ValueError, match=r"^label file .*a\.json: the key 'a' occurs twice"):
        read_json(tmp_path / 'a.json', 'label file')
