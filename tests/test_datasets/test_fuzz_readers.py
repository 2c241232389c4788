"""Random input for every reader of lists, tables, label files, COCO files and pickled vectors.

Whatever comes in, a reader returns labels that can be saved and read again and whose ids stay below their folder, or it
raises one error that names the file. See ``tests/fuzzing.py`` for how long the search takes.
"""

import json

import numpy as np
import pytest

from mmwsss.datasets import (
    ImageLabels,
    labels_from_coco,
    labels_from_npy,
    labels_from_table,
    read_class_names,
    read_ids,
)

from ..fuzzing import fuzz

# isort: split

from hypothesis import given
from hypothesis import strategies as st

PIECES = ['image', 'tags', 'id', 'cat', 'dog', 'Cat', 'background', 'a.jpg', 'sub/b', '../x', 'C:\\a', '/etc', '0', '1',
          '0.9', 'nan', '-1', 'x', 'T', 'true', '"', "'", ',', ';', '|', '\t', '\n', '\r\n', '\r', '#', 'sep=;', '\0',
          ' ', '\ufeff', 'é', '.', '..', 'a' * 300]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=24).map(''.join)
ROWS = st.lists(st.lists(st.sampled_from([piece for piece in PIECES if piece.isalnum() or piece in '0.9-1']),
                         min_size=1, max_size=4).map(','.join), max_size=6).map('\n'.join)
CONTENTS = st.one_of(
    st.one_of(TEXTS, ROWS).flatmap(
        lambda text: st.sampled_from([text.encode(encoding, 'surrogatepass')
                                      for encoding in ('utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le')])),
    st.binary(max_size=40))

KEYS = st.one_of(st.sampled_from(['image', 'tags', 'classes', 'labels', 'id', 'a', '../x', '', 'images', 'annotations',
                                  'categories', 'file_name', 'name', 'image_id', 'category_id']), st.text(max_size=3))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 3), st.floats(), st.sampled_from(PIECES), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)), max_leaves=12)
COCO = st.fixed_dictionaries(dict(
    images=st.lists(st.fixed_dictionaries(dict(id=st.integers(0, 2), file_name=st.sampled_from(PIECES))), max_size=3),
    annotations=st.lists(st.fixed_dictionaries(dict(image_id=st.integers(0, 2), category_id=st.integers(0, 2))),
                         max_size=3),
    categories=st.lists(st.fixed_dictionaries(dict(id=st.integers(0, 2), name=st.sampled_from(PIECES))), max_size=3)))
VECTORS = st.dictionaries(
    st.one_of(st.sampled_from(PIECES), st.integers(0, 3), st.just(2007000032), st.binary(max_size=3), st.none()),
    st.one_of(st.lists(st.sampled_from([0, 1, 2, 0.5, float('nan'), 'a']), max_size=3), st.none(), st.text(max_size=2)),
    max_size=3)


def check(read, path, folder):
    """Read a file; the result must be safe and complete, or the error must name the file."""
    try:
        labels = read(path)
    except (ValueError, FileNotFoundError) as error:
        if str(path) in str(error):
            return
        raise AssertionError(f'the error does not name the file: {error}') from error
    if isinstance(labels, ImageLabels):
        for image_id in labels.labels:
            assert (folder / f'{image_id}.png').resolve().is_relative_to(folder.resolve())
        labels.save(folder / 'saved.json')
        assert ImageLabels.load(folder / 'saved.json') == labels


@pytest.mark.parametrize('suffix', ['csv', 'tsv', 'txt'])
@fuzz
@given(content=CONTENTS)
def test_text_files(tmp_path, suffix, content):
    path = tmp_path / f'input.{suffix}'
    path.write_bytes(content)
    for read in (labels_from_table, read_ids, read_class_names):
        check(read, path, tmp_path)


@pytest.mark.parametrize('suffix', ['json', 'jsonl'])
@fuzz
@given(content=st.one_of(VALUES, COCO))
def test_json_files(tmp_path, suffix, content):
    path = tmp_path / f'input.{suffix}'
    path.write_text(json.dumps(content))
    readers = [labels_from_table, ImageLabels.load, labels_from_coco]
    for read in [*readers, read_class_names] if suffix == 'json' else readers:
        check(read, path, tmp_path)


@fuzz
@given(content=VECTORS)
def test_pickled_vectors(tmp_path, content):
    path = tmp_path / 'cls_labels.npy'
    np.save(path, content, allow_pickle=True)
    check(lambda path: labels_from_npy(path, ['cat', 'dog']), path, tmp_path)
