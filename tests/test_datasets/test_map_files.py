import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmwsss.datasets import load_pickled_npy
from mmwsss.datasets.map_files import (
    read_cams,
    read_label_map,
    read_note,
    read_scores,
    write_cams,
    write_label_map,
)
from mmwsss.utils.errors import UserError

MAPS = np.random.default_rng(0).random((2, 5, 7), np.float32)


def test_label_map_and_its_colors(tmp_path: Path):
    labels = np.array([[0, 1, 2], [255, 1, 0]])
    write_label_map(labels, tmp_path / 'sub/a.png', palette=[(0, 0, 0), (10, 20, 30)])
    np.testing.assert_array_equal(read_label_map(tmp_path / 'sub/a.png'), labels)
    with Image.open(tmp_path / 'sub/a.png') as image:
        assert image.mode == 'P'
        colors = np.array(image.convert('RGB'))
    assert colors[0, 1].tolist() == [10, 20, 30]
    assert colors[0, 2].tolist() == [0, 128, 0]
    assert colors[1, 0].tolist() == [224, 224, 192]
    assert [path.name for path in (tmp_path / 'sub').iterdir()] == ['a.png']


def test_label_map_of_sixteen_bits(tmp_path: Path):
    Image.fromarray(np.array([[0, 300]], np.uint16)).save(tmp_path / 'a.png')
    assert read_label_map(tmp_path / 'a.png').tolist() == [[0, 300]]


@pytest.mark.parametrize(('labels', 'message'), [
    (np.array([[0, 300]]), 'labels hold 300, but a label map has 8 bits'),
    (np.array([[0, -1]]), 'labels hold -1'),
    (np.array([[256, 511, -256, 3]]), 'labels hold -256, 256, 511'),
    (np.array([[70000]], np.int32), 'labels hold 70000'),
    (np.array([[0.5, 1]]), r'labels hold 0\.5'),
    (np.array([[np.nan, 1]]), 'labels hold nan'),
    (np.zeros((4, 5, 3), np.uint8), r'shape \(H, W\) and whole numbers, got \(4, 5, 3\) of type uint8'),
    (np.zeros(4, np.uint8), r'got \(4,\)'),
    (np.array([['a']]), 'of type <U1'),
    (np.array([[1j]]), 'of type complex128'),
])
def test_labels_are_never_cast_to_other_values(tmp_path: Path, labels: np.ndarray, message: str):
    with pytest.raises(UserError, match=f'a.png: .*{message}'):
        write_label_map(labels, tmp_path / 'a.png')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('kind', [np.uint8, np.int64, np.uint16, np.int32, np.float32, bool])
def test_labels_of_any_type_keep_their_values(tmp_path: Path, kind: type):
    values = [[0, 1], [1, 0]] if kind is bool else [[0, 1], [254, 255]]
    write_label_map(np.array(values, kind), tmp_path / 'a.png')
    assert read_label_map(tmp_path / 'a.png').tolist() == values


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('suffix', ['npz', 'npy'])
def test_maps_that_are_not_finite_are_refused_by_every_reader(tmp_path: Path, suffix: str, value: float):
    cams = np.zeros((2, 3, 3))
    cams[1, 1, 1] = value
    write_cams(cams, [-1, 0], (3, 3), tmp_path / f'photo.{suffix}')
    for read in (read_cams, read_scores):
        with pytest.raises(ValueError, match=f"photo.{suffix}: the CAMs of image 'photo' hold 1 NaN or infinite"):
            read(tmp_path / f'photo.{suffix}')


def test_damaged_label_maps_are_refused(tmp_path: Path):
    write_label_map(np.random.default_rng(0).integers(0, 9, (40, 40)), tmp_path / 'a.png')
    whole = (tmp_path / 'a.png').read_bytes()
    for name, content in (('cut', whole[:len(whole) // 2]), ('empty', b''), ('text', b'no image')):
        (tmp_path / f'{name}.png').write_bytes(content)
        with pytest.raises(ValueError, match=f'{name}.png is damaged'):
            read_label_map(tmp_path / f'{name}.png')
    Image.new('RGB', (2, 2)).save(tmp_path / 'rgb.png')
    with pytest.raises(ValueError, match='rgb.png is a RGB picture'):
        read_label_map(tmp_path / 'rgb.png')
    with pytest.raises(FileNotFoundError):
        read_label_map(tmp_path / 'missing.png')


def test_own_maps_are_small_and_the_same_each_time(tmp_path: Path):
    for name in ('a', 'b'):
        write_cams(MAPS, [1, 4], (5, 7), tmp_path / f'{name}.npz')
    cams, channels = read_cams(tmp_path / 'a.npz')
    assert cams.dtype == np.float16
    assert channels.tolist() == [1, 4]
    np.testing.assert_allclose(cams, MAPS, atol=5e-4)
    assert (tmp_path / 'a.npz').read_bytes() == (tmp_path / 'b.npz').read_bytes()
    with zipfile.ZipFile(tmp_path / 'a.npz') as file:
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_maps_beside_a_background_plane(tmp_path: Path):
    planes = np.concatenate([1 - MAPS[:1], MAPS])
    for suffix, tolerance in (('npz', 5e-4), ('npy', 0)):
        path = tmp_path / f'a.{suffix}'
        write_cams(planes, [-1, 1, 4], (5, 7), path)
        found, values = read_scores(path)
        assert values.tolist() == [0, 2, 5]
        np.testing.assert_allclose(found, planes, atol=tolerance)
        cams, channels = read_cams(path, first_key=1)
        assert channels.tolist() == [1, 4]
        np.testing.assert_array_equal(cams, found[1:])
        write_cams(MAPS, [1, 4], (5, 7), path)
        with pytest.raises(ValueError, match=f'a.{suffix} has no background plane'):
            read_scores(path)


def test_dictionaries_are_those_of_other_code_bases(tmp_path: Path):
    write_cams(MAPS, [1, 4], (5, 7), tmp_path / 'cams.npy')
    write_cams(MAPS, [-1, 4], (5, 7), tmp_path / 'crf.npy')
    for name, keys in (('cams', [1, 4]), ('crf', [0, 5])):
        content = load_pickled_npy(tmp_path / f'{name}.npy')
        assert list(content) == keys
        assert all(type(key) is int for key in content)
        assert content[keys[1]].dtype == np.float32
        np.testing.assert_array_equal(content[keys[1]], MAPS[1])


def test_a_note_in_a_label_map(tmp_path: Path):
    write_label_map(np.eye(3), tmp_path / 'a.png', note='made by')
    write_label_map(np.eye(3), tmp_path / 'b.png')
    assert [read_note(tmp_path / name) for name in ('a.png', 'b.png')] == ['made by', None]
    np.testing.assert_array_equal(read_label_map(tmp_path / 'a.png', strict=True), np.eye(3))
    (tmp_path / 'c.png').write_text('')
    with pytest.raises(ValueError, match='c.png is damaged'):
        read_note(tmp_path / 'c.png')


def test_maps_of_an_image_without_classes(tmp_path: Path):
    write_cams(np.zeros((0, 5, 7)), [], (5, 7), tmp_path / 'a.npz')
    cams, channels = read_cams(tmp_path / 'a.npz')
    assert len(cams) == len(channels) == 0
    np.save(tmp_path / 'b.npy', {})
    assert len(read_cams(tmp_path / 'b.npy')[0]) == 0


@pytest.mark.parametrize(('content', 'first_key', 'expected'), [
    ({4: MAPS[1], 1: MAPS[0]}, 0, [1, 4]),
    ({0: 1 - MAPS[0], 2: MAPS[0], 5: MAPS[1]}, 1, [1, 4]),
    ({'keys': np.array([1, 4]), 'cam': MAPS[:, ::2, ::2], 'high_res': MAPS}, 0, [1, 4]),
    ({'key': np.array([1, 4]), 'cam': MAPS}, 0, [1, 4]),
    (MAPS, 0, [0, 1]),
])
def test_layouts_of_other_code_bases(tmp_path: Path, content: object, first_key: int, expected: list):
    np.save(tmp_path / 'a.npy', content)
    cams, channels = read_cams(tmp_path / 'a.npy', first_key)
    assert channels.tolist() == expected
    np.testing.assert_array_equal(cams, MAPS)


@pytest.mark.parametrize(('content', 'message'), [
    ({'image': MAPS}, "keys \\['image'\\]"),
    ({0: MAPS[0], 1: MAPS[1, :2]}, 'several sizes'),
    ({-1: MAPS[0]}, 'key -1'),
    ({'keys': np.array([1]), 'cam': MAPS}, r'1 class keys and maps \(2, 5, 7\)'),
    ({0: np.zeros((2, 2), int)}, 'floating'),
    ([1, 2], 'maps .* object'),
])
def test_other_layouts_are_refused(tmp_path: Path, content: object, message: str):
    np.save(tmp_path / 'a.npy', np.array(content, object) if isinstance(content, list) else content)
    with pytest.raises(ValueError, match=message):
        read_cams(tmp_path / 'a.npy')


def test_damaged_maps_are_refused(tmp_path: Path):
    write_cams(MAPS, [1, 4], (5, 7), tmp_path / 'a.npz')
    whole = (tmp_path / 'a.npz').read_bytes()
    (tmp_path / 'a.npz').write_bytes(whole[:len(whole) // 2])
    np.savez(tmp_path / 'b.npz', other=MAPS)
    for name in 'ab':
        with pytest.raises(ValueError, match=f'{name}.npz are damaged or of another layout'):
            read_cams(tmp_path / f'{name}.npz')
    with pytest.raises(FileNotFoundError):
        read_cams(tmp_path / 'c.npz')
