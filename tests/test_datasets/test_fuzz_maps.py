"""Random and damaged files for every reader of label maps and CAMs.

A reader returns a map that fits what it promises, or raises one error that names the file; nothing else, and no code
runs.
"""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmwsss.datasets import labels_from_masks, labels_from_voc_xml
from mmwsss.datasets.map_files import (
    is_picture,
    read_cams,
    read_label_map,
    read_note,
    read_scores,
    write_cams,
    write_label_map,
)

from ..fuzzing import DAMAGE, damaged, fuzz

# isort: split

from hypothesis import given
from hypothesis import strategies as st

MODES = ['1', 'L', 'P', 'I;16', 'I', 'F', 'LA', 'RGB', 'RGBA', 'CMYK', 'YCbCr']
SIZES = st.tuples(st.integers(1, 5), st.integers(1, 5))


def outcome(read: Callable[[Path], Any], path: Path) -> Any:
    """Return what a reader returns, or None where it refuses the file by its name."""
    try:
        return read(path)
    except (ValueError, FileNotFoundError) as error:
        if path.name in str(error) and '\n' not in str(error):
            return None
        raise AssertionError(f'the error is not one line that names the file: {error}') from error


def picture(mode: str, size: tuple, suffix: str) -> bytes:
    """Encode a picture of a mode in a format that can hold it, or as TIFF."""
    content = io.BytesIO()
    image = Image.new(mode, size)
    try:
        image.save(content, suffix)
    except (OSError, KeyError, ValueError):
        content = io.BytesIO()
        image.save(content, 'TIFF')
    return content.getvalue()


def check_label_map(path: Path) -> None:
    """Read a file by everything that reads label maps."""
    loose, strict = outcome(read_label_map, path), outcome(lambda file: read_label_map(file, strict=True), path)
    for labels in (loose, strict):
        assert labels is None or labels.ndim == 2
        assert labels is None or labels.dtype in (np.uint8, np.int32)
    assert strict is None or is_picture(path)
    note = outcome(read_note, path)
    assert note is None or isinstance(note, str)
    found = outcome(lambda file: labels_from_masks(file.parent, ['cat', 'dog'], ids=[file.stem]), path)
    assert found is None or set(found.labels[path.stem]) <= {'cat', 'dog'}


@fuzz
@given(mode=st.sampled_from(MODES), size=SIZES, suffix=st.sampled_from(['PNG', 'JPEG', 'BMP', 'TIFF', 'GIF']))
def test_label_maps_of_any_mode(tmp_path, mode, size, suffix):
    path = tmp_path / 'mask.png'
    path.write_bytes(picture(mode, size, suffix))
    check_label_map(path)


@fuzz
@given(damage=st.lists(DAMAGE, min_size=1, max_size=3))
def test_damaged_label_maps(tmp_path, damage):
    path = tmp_path / 'mask.png'
    write_label_map(np.arange(64).reshape(8, 8) % 3, path, note='a note')
    whole = path.read_bytes()
    content = whole
    for item in damage:
        content = damaged(content, item)
    path.write_bytes(content)
    check_label_map(path)
    strict = outcome(lambda file: read_label_map(file, strict=True), path)
    assert strict is None or content == whole or strict.ndim == 2


ARRAYS = st.builds(
    lambda shape, kind, fill: np.full(shape, fill).astype(kind),
    st.lists(st.integers(0, 3), max_size=4).map(tuple),
    st.sampled_from(['f2', 'f4', 'f8', 'i4', 'u1', 'bool', 'U3', 'c8']), st.sampled_from([0, 1, -1]))
CAM_KEYS = st.one_of(st.integers(-2, 3), st.sampled_from(['keys', 'cam', 'cams', 'high_res', 'channels', 'size', 'x']),
                     st.none(), st.floats())


def check_cams(path: Path) -> None:
    """Read a file by both readers of CAMs."""
    for read in (read_cams, lambda file: read_cams(file, first_key=1), read_scores):
        found = outcome(read, path)
        if found is not None:
            cams, channels = found
            assert cams.ndim == 3
            assert len(cams) == len(channels)
            assert np.issubdtype(cams.dtype, np.number)


@fuzz
@given(content=st.one_of(st.dictionaries(CAM_KEYS, st.one_of(ARRAYS, st.integers(), st.text(max_size=2)), max_size=4),
                         ARRAYS, st.none(), st.text(max_size=3)))
def test_pickled_cams(tmp_path, content):
    path = tmp_path / 'cams.npy'
    np.save(path, np.array(content, dtype=object) if isinstance(content, dict) else content, allow_pickle=True)
    check_cams(path)


@fuzz
@given(content=st.dictionaries(st.sampled_from(['cams', 'channels', 'size', 'keys', 'x']), ARRAYS, max_size=4))
def test_archives_of_arrays(tmp_path, content):
    path = tmp_path / 'cams.npz'
    np.savez(path, **content)
    check_cams(path)


@pytest.mark.parametrize('suffix', ['npz', 'npy'])
@fuzz
@given(damage=st.lists(DAMAGE, min_size=1, max_size=3))
def test_damaged_cams(tmp_path, suffix, damage):
    path = tmp_path / f'cams.{suffix}'
    write_cams(np.full((2, 3, 4), .5, np.float32), [0, 2], (3, 4), path)
    content = path.read_bytes()
    for item in damage:
        content = damaged(content, item)
    path.write_bytes(content)
    check_cams(path)


class Bomb:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (str(self.path), 'w')


@fuzz
@given(protocol=st.integers(0, 5), nested=st.booleans())
def test_cams_run_no_code(tmp_path, protocol, nested):
    path, trace = tmp_path / 'cams.npy', tmp_path / 'trace'
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, dict(descr='|O', fortran_order=False, shape=()))
    content = {1: Bomb(trace)} if nested else Bomb(trace)
    path.write_bytes(header.getvalue() + pickle.dumps(content, protocol))
    with pytest.raises(ValueError, match=r'cams\.npy'):
        read_cams(path)
    assert not trace.exists()


XML = st.lists(st.sampled_from(['<annotation>', '</annotation>', '<object>', '</object>', '<name>', '</name>', 'cat',
                                '<filename>', '</filename>', '../x', '<!DOCTYPE a [<!ENTITY b "c">]>', '&b;', '<?xml?>',
                                '<difficult>1</difficult>', '\0', '&', 'é']), max_size=14).map(''.join)


@fuzz
@given(text=XML)
def test_annotations_of_voc(tmp_path, text):
    path = tmp_path / 'xml/a.xml'
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding='utf-8')
    outcome(lambda file: labels_from_voc_xml(file.parent, ['cat', 'dog']), path)
