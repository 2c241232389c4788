"""Tables as people really send them: read as plainly meant, or refused with file, line and column."""

import json

import pytest

from mmwsss.datasets import labels_from_table, read_class_names

CAT_DOG = {'a': ('cat', ), 'b': ('cat', 'dog'), 'c': ()}

PLAIN = {
    'true_false.csv': 'image,cat,dog\na,T,F\nb,t,T\nc,f,F\n',
    'yes_no.csv': 'image,cat,dog\na,Yes,No\nb,Y,y\nc,no,N\n',
    'crosses.csv': 'image,cat,dog\na,x,\nb,X,x\nc,,\n',
    'floats.csv': 'image,cat,dog\na,1.0,0.0\nb,1,1.0\nc,0,0\n',
    'excel.csv': 'sep=;\nimage;tags\na;cat\nb;cat,dog\nc;\n',
    'excel_tab.csv': '"sep=\t"\nimage\ttags\na\tcat\nb\tcat;dog\nc\t\n',
    'comment.csv': '# tags of my photos, 2024\n#\n\nimage,tags\na,cat\nb,cat;dog\nc,\n',
    'comment_header.csv': '# image,tags\na,cat\nb,cat;dog\nc,\n',
    'comment_no_header.csv': '# made by hand\na.jpg,cat\nb.jpg,cat;dog\nc.jpg,\n',
    'quotes.csv': '"image","tags"\n"a","cat"\n"b","cat;dog"\n"c",""\n',
    'old_mac.csv': 'image,tags\ra,cat\rb,cat;dog\rc,\r',
    'windows.csv': 'image,tags\r\na,cat\r\nb,cat;dog\r\nc,\r\n',
    'other_column.csv': 'image,comment,tags\na,"first, ""best""\nof all",cat\nb,0.9,cat;dog\nc,nan,\n',
    'tag_cells.csv': 'image,first,second\na,cat,\nb,cat,dog\nc,,\n',
    'all_no_row.csv': 'image,cat,dog\nc,0,0\nb,1,1\na,1,0\n',
    'same_row_twice.csv': 'image,cat,dog\na,1,0\na,1,0\nb,1,1\nc,0,0\n',
    'flags.json': json.dumps({'a': {'cat': True, 'dog': False}, 'b': {'cat': 1, 'dog': '1'}, 'c': {'cat': 0}}),
    'null.json': json.dumps({'a': ['cat'], 'b': 'cat;dog', 'c': None}),
    'ints.jsonl': '{"image": "a", "tags": "cat"}\n{"image": "b", "tags": ["cat", "dog"]}\n{"image": "c", "tags": []}\n',
}


@pytest.mark.parametrize('name', PLAIN)
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_plainly_meant(tmp_path, name, encoding):
    path = tmp_path / name
    path.write_bytes(PLAIN[name].encode(encoding))
    labels = labels_from_table(path)
    assert labels.labels == CAT_DOG
    assert labels.classes == ('cat', 'dog')


HEADER = 'image,cat,dog\n'
REFUSED = [
    # Class columns that are not yes or no
    ('scores', HEADER + 'a,1,0\nb,0.9,0.1\n', "line 3, column 'cat': '0.9' is neither yes nor no.*threshold"),
    ('nan', HEADER + 'a,1,nan\n', "line 2, column 'dog': 'nan' is neither"),
    ('minus_one', HEADER + 'a,1,-1\n', "line 2, column 'dog': '-1' is neither"),
    ('two', HEADER + 'a,1,2\n', "line 2, column 'dog': '2' is neither"),
    ('only_scores', HEADER + 'a,0.9,0.1\nb,0.2,0.8\n', "line 2, column 'cat': '0.9' is neither"),
    ('mixed', HEADER + 'a,1,maybe\n', "line 2, column 'dog': 'maybe' is neither"),
    ('metadata', 'image,width,cat\na,300,1\n', "line 2, column 'width': '300' is neither.*remove other columns"),
    ('too_long', HEADER + 'a,1,0,1\n', 'line 2: the row has 4 cells, the header 3'),
    ('contradiction', HEADER + 'a,1,0\nb,1,1\na,0,1\n', "line 4: the image 'a' has other labels in line 2"),
    ('class_twice', 'image,cat,cat\na,1,0\n', "more than once: 'cat'"),
    ('no_header', 'a.jpg,1,0\nb.jpg,0,1\n', 'line 1: the cells are yes or no, but no header names their classes'),
    ('other_header', 'Bild,cat,dog\na,1,0\nb,0,1\n', 'line 1: the header names no column of images.*image, image_id'),
    ('other_tag_header', 'Bild,tags\na,cat\n', 'line 1: the header names no column of images'),
    # Tags that are numbers
    ('score_tag', 'image,tags\na,cat\nb,0.9\n', "line 3: '0.9' is a number, not the name of a class.*--classes"),
    ('nan_tag', 'image,tags\na,nan\n', "line 2: 'nan' is a number"),
    ('headerless_scores', 'a.jpg,0.9,0.1\n', "line 1: '0.9' is a number"),
    # Quotes
    ('open_quote', 'image,tags\na,cat\nb,"dog\nc,cat\n', 'line 3: a quote is never closed'),
    ('open_quote_closed_later', 'image,tags\na,"cat\nb,dog"\n', 'line 3: the tag .* contains a line break.*quote'),
    ('text_after_quote', 'image,tags\na,"cat" and dog\n', 'line 2: .* check the quotes'),
    # Rows without an image
    ('no_image', 'image,tags\n,cat\n', r"line 2: '' cannot be an image id: it is empty"),
    ('short_row', 'tags,image\ncat,a\ndog\n', 'line 3: the row has 1 cells and none in the column of the image'),
    ('empty', '# nothing\n\n', 'is empty'),
]


@pytest.mark.parametrize(('text', 'message'), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused_with_file_and_line(tmp_path, text, message):
    path = tmp_path / 'tags.csv'
    path.write_text(text, encoding='utf-8')
    with pytest.raises(ValueError, match=rf'(?s)tags\.csv.*{message}'):
        labels_from_table(path)


JSON_REFUSED = [
    ('{"a": true}', "image 'a': True is not a list of tags"),
    ('{"a": 1}', "image 'a': 1 is not a list of tags"),
    ('{"a": [["cat"]]}', r"image 'a': \['cat'\] is not a tag"),
    ('{"a": ["cat", null]}', "image 'a': None is not a tag"),
    ('{"a": [true]}', "image 'a': True is not a tag"),
    ('{"a": [3]}', "image 'a': 3 is not a tag"),
    ('{"a": {"cat": 0.7}}', "image 'a': the value 0.7 of 'cat' is neither yes nor no"),
    ('{"a": {"cat": null}}', "image 'a': the value None of 'cat'"),
    ('{"a": {"cat": [1]}}', r"image 'a': the value \[1\] of 'cat'"),
    ('{"a": ["cat"], "a": ["dog"]}', "the key 'a' occurs twice"),
    ('{"a": {"cat": 1, "cat": 0}}', "the key 'cat' occurs twice"),
    ('{"a": {"cat": NaN}}', 'contains NaN'),
    ('{"a": ["0.5"]}', "image 'a': '0.5' is a number"),
    ('{"classes": "cat", "labels": {"a": ["cat"]}}', "'classes' must be a list"),
    ('{"classes": [1], "labels": {"a": []}}', '1, which is not a class name'),
    ('[{"image": null, "tags": ["cat"]}]', "record 0: 'image' must be the name of an image, got None"),
    ('[{"image": "a", "tags": [[]]}]', r'record 0: \[\] is not a tag'),
    ('["a"]', "record 0 must be an object with an image and tags, got 'a'"),
    ('null', 'got NoneType'),
]


@pytest.mark.parametrize(('text', 'message'), JSON_REFUSED)
def test_json_is_refused_with_file_and_image(tmp_path, text, message):
    path = tmp_path / 'tags.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=rf'tags\.json.*{message}'):
        labels_from_table(path)


def test_json_lines_name_the_line(tmp_path):
    path = tmp_path / 'tags.jsonl'
    for text, message in (('{"image": "a", "tags": 1}', 'line 2: 1 is not a list'), ('{', 'line 2 is not valid JSON')):
        path.write_text(f'{{"image": "b", "tags": []}}\n{text}\n')
        with pytest.raises(ValueError, match=message):
            labels_from_table(path)


def test_other_encodings_name_the_file(tmp_path):
    path = tmp_path / 'tags.csv'
    path.write_bytes('image,tags\na,Käse\n'.encode('cp1252'))
    with pytest.raises(ValueError, match=r'table of tags .*tags\.csv is not valid UTF-8 text: line 2'):
        labels_from_table(path)


def test_numbers_may_be_classes(tmp_path):
    path = tmp_path / 'digits.csv'
    path.write_text('image,label\na,7\nb,0\n')
    assert labels_from_table(path).labels == {'a': ('7', ), 'b': ('0', )}
    path.write_text('image,label\na,1.5\nb,nan\n')
    assert labels_from_table(path, ['1.5', 'nan']).labels == {'a': ('1.5', ), 'b': ('nan', )}


@pytest.mark.parametrize('names', [
    ['cat', 'Cat'], ['guinea pig', 'guineapig'], ['caf\u00e9', 'cafe\u0301'], ['a', 'STRASSE', 'stra\u00dfe', 'A']])
def test_similar_class_names_give_one_warning(tmp_path, monkeypatch, names):
    messages = []
    monkeypatch.setattr('mmwsss.datasets.class_names.print_log', lambda text, **_: messages.append(text))
    unique = [f'{name} of {tmp_path.name}' for name in names]  # one warning per process and list of classes
    path = tmp_path / 'tags.csv'
    path.write_text('image,tags\n' + ''.join(f'{k},{name}\n' for k, name in enumerate(unique)), encoding='utf-8')
    read_class_names(['cat', 'dog', f'bird of {tmp_path.name}'])
    assert not messages
    labels_from_table(path, unique).subset(['0'])
    read_class_names(unique)
    assert len(messages) == 1
    assert 'differ only in case, Unicode form or blanks' in messages[0]
    assert all(repr(name) in messages[0] for name in unique)
