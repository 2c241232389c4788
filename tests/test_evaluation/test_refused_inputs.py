"""Folders that would give a wrong number in silence are refused, each with a message that names the culprit."""

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmwsss.datasets.map_files import read_cams, write_cams
from mmwsss.evaluation import LabelCounts, evaluate_cam_folder, evaluate_label_folder, first_key_contradiction

CLASSES = ['background', 'cat', 'dog', 'cow']
MASKS = [[[0, 1], [1, 255]], [[0, 2], [2, 0]], [[0, 3], [3, 3]]]
NAN, INF = float('nan'), float('inf')


def write_folder(folder: Path, suffix: str, contents: list) -> Path:
    """Write a picture (array, with the dtype's PNG mode) or CAMs (dict) per image ``0``, ``1``, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, content in enumerate(contents):
        path = folder / f'{index}{suffix}'
        if suffix == '.png':
            Image.fromarray(np.asarray(content)).save(path)
        elif suffix == '.npy':
            np.save(path, {key: np.array(plane, np.float32) for key, plane in content.items()})
        else:
            write_cams(np.array(list(content.values()), float), list(content), (2, 2), path)
    return folder


def masks(folder: Path, contents: list = MASKS) -> Path:
    return write_folder(folder / 'masks', '.png', [np.array(mask, np.uint8) for mask in contents])


def maps_of(keys: dict[int, float], shape: tuple = (2, 2)) -> dict:
    return {key: np.full(shape, value) for key, value in keys.items()}


GOOD_LABELS = [np.array(mask, np.uint8) for mask in MASKS]
GOOD_MAPS = [maps_of({0: .9}), maps_of({1: .9}), maps_of({2: .9})]


@pytest.mark.parametrize(('contents', 'words'), [
    ([[[0, 255], [255, 0]]] * 3, 'hold only 0 and 255.*black-and-white.*index of the class'),
    ([[[0, 0], [0, 0]]] * 3, 'no pixel of a foreground class'),
    ([[[255, 255], [255, 255]]] * 3, 'no pixel of a foreground class'),
    ([[[0, 1], [1, 0]], [[0, 9], [0, 0]], [[0, 1], [0, 0]]], r'1\.(png|npy): gt holds? \[9\].*mask: .*1\.png'),
    ([[[0, 1], [1, 0]]] * 2 + [np.zeros((2, 2, 3))], 'masks/2.png is a RGB picture'),
])
@pytest.mark.parametrize('source', ['labels', 'cams'])
def test_masks(tmp_path: Path, source: str, contents: list, words: str):
    gt = masks(tmp_path, contents)
    if source == 'labels':
        evaluate = evaluate_label_folder
        folder = write_folder(tmp_path / 'labels', '.png', [np.zeros((2, 2), np.uint8)] * 3)
    else:
        evaluate = evaluate_cam_folder
        folder = write_folder(tmp_path / 'cams', '.npy', GOOD_MAPS)
    with pytest.raises(ValueError, match=words):
        evaluate(folder, gt, '012', CLASSES)


@pytest.mark.parametrize(('label', 'words'), [
    (np.full((2, 2), 300, np.uint16), r'labels hold \[300\]'),
    (np.full((2, 2), 256, np.uint16), r'labels hold \[256\]'),
    (np.full((2, 2), 7, np.uint8), r'labels hold \[7\], allowed are 0 to 3 and 255'),
    (np.zeros((2, 2, 3), np.uint8), 'is a RGB picture'),
    (np.zeros((2, 2, 4), np.uint8), 'is a RGBA picture'),
    (np.zeros((2, 2), bool), 'is a 1 picture'),
    (np.zeros((3, 2), np.uint8), r'the label map is \(3, 2\)'),
])
def test_label_maps(tmp_path: Path, label: np.ndarray, words: str):
    labels = write_folder(tmp_path / 'labels', '.png', [*GOOD_LABELS[:2], label])
    with pytest.raises(ValueError, match=f'labels/2.png.*{words}'):
        evaluate_label_folder(labels, masks(tmp_path), '012', CLASSES)


@pytest.mark.parametrize(('labels', 'error', 'words'), [
    (np.array([[-1]]), ValueError, r'\[-1\]'),
    (np.array([[2**40]]), ValueError, str(2**40)),
    (np.array([[2**63]], np.uint64), ValueError, str(2**63)),
    (np.array([[.7]]), TypeError, 'integer class indices, got float64'),
    (np.array([[True]]), TypeError, 'integer class indices, got bool'),
])
@pytest.mark.parametrize('side', ['labels', 'gt'])
def test_label_arrays_are_never_cast(labels: np.ndarray, error: type, words: str, side: str):
    arrays = {'labels': np.array([[1]]), 'gt': np.array([[1]]), side: labels}
    with pytest.raises(error, match=words):
        LabelCounts(4).update(**arrays)


@pytest.mark.parametrize('suffix', ['.npy', '.npz'])
def test_a_parser_that_another_thread_disturbs_is_called_again(tmp_path: Path, suffix: str,
                                                               monkeypatch: pytest.MonkeyPatch):
    """Python 3.11 now and then fails to parse the header of a file while another thread parses one."""
    cams = write_folder(tmp_path / 'cams', suffix, [{0: np.full((2, 2), .5)}])
    parse, calls = ast.literal_eval, []

    def disturbed(text: str):
        calls.append(text)
        if len(calls) <= 2:
            raise SystemError('AST constructor recursion depth mismatch (before=36, after=34)')
        return parse(text)

    monkeypatch.setattr(ast, 'literal_eval', disturbed)
    maps, _ = read_cams(cams / f'0{suffix}')
    assert (maps == .5).all()
    assert len(calls) > 2


@pytest.mark.parametrize('value', [NAN, INF, -INF])
@pytest.mark.parametrize('suffix', ['.npy', '.npz'])
@pytest.mark.parametrize('shape', [(2, 2), (1, 2)])
def test_maps_that_are_no_numbers(tmp_path: Path, suffix: str, value: float, shape: tuple):
    maps = {0: np.full(shape, .5), 1: np.full(shape, .6)}
    maps[0][0, 1] = value
    cams = write_folder(tmp_path / 'cams', suffix, [GOOD_MAPS[0], maps, GOOD_MAPS[2]])
    with pytest.raises(ValueError, match=f"cams/1{suffix}: the CAMs of image '1' hold 1 NaN or infinite"):
        evaluate_cam_folder(cams, masks(tmp_path), '012', CLASSES)


def test_maps_outside_the_unit_interval(tmp_path: Path):
    cams = write_folder(tmp_path / 'cams', '.npy', [GOOD_MAPS[0], maps_of({0: 3.5}), GOOD_MAPS[2]])
    with pytest.raises(ValueError, match=r'cams/1.npy: cams must lie in \[0, 1\]'):
        evaluate_cam_folder(cams, masks(tmp_path), '012', CLASSES)


def test_maps_of_a_rotated_image(tmp_path: Path):
    cams = write_folder(tmp_path / 'cams', '.npy', [maps_of({0: .5}, (4, 6))])
    gt = masks(tmp_path, [np.ones((6, 4))])
    with pytest.raises(ValueError, match=r'cams/0.npy: the CAMs are \(4, 6\), the mask \(6, 4\): .*rotated'):
        evaluate_cam_folder(cams, gt, '0', CLASSES)


BACKGROUND = [maps_of({0: .4, 1: .9}), maps_of({0: .4, 2: .9}), maps_of({0: .4, 3: .9})]


def test_a_background_plane_at_key_0_is_not_read_as_the_first_class(tmp_path: Path):
    gt = masks(tmp_path)
    cams = write_folder(tmp_path / 'cams', '.npy', BACKGROUND[:2])
    with pytest.raises(ValueError, match='key 0 is in all 2 files.*2 of 2 images.*first_key=1 .--first-key 1.'):
        evaluate_cam_folder(cams, gt, '01', CLASSES)
    cams = write_folder(tmp_path / 'cams', '.npy', BACKGROUND)
    with pytest.raises(ValueError, match='2.npy has the class key 3, .* 0 to 2; if key 0 is a background plane'):
        evaluate_cam_folder(cams, gt, '012', CLASSES)
    right = evaluate_cam_folder(cams, gt, '012', CLASSES, (.5, ), first_key=1)
    assert right.per_class(.5).loc['cat', 'IoU'] == pytest.approx(200 / 3)
    assert not right.notes
    insisted = evaluate_cam_folder(cams, gt, '01', CLASSES, (.5, ), first_key=0)
    assert insisted.means['mIoU'][.5] < 50


@pytest.mark.parametrize(('keys', 'present', 'contradicted'), [
    ([[0, 1], [0, 2]], [{1}, {2}], True),
    ([[0], [0, 2]], [set(), {2}], True),
    ([[0, 1], [0, 2], [1]], [{1}, {2}, {2}], False),
    ([[0], [0], [0]], [{1}, set(), set()], False),
    ([[0, 1], [0, 2]], [{1, 2}, {1, 3}], False),
    ([[0, 1, 2]] * 3, [{1}, {2}, {1, 3}], False),
    ([[], [1]], [set(), {2}], False),
    ([], [], False),
])
def test_keys_against_classes(keys: list, present: list, contradicted: bool):
    assert bool(first_key_contradiction(keys, present)) == contradicted


@pytest.mark.parametrize(('labels', 'note'), [
    (GOOD_LABELS, None),
    ([GOOD_LABELS[0], GOOD_LABELS[0], GOOD_LABELS[2]], "left out of the means: 'dog'"),
    ([GOOD_LABELS[0], np.array([[0, 2], [2, 2]], np.uint8), GOOD_LABELS[2]],
     "Predicted, but in none of the masks: 'dog'"),
])
@pytest.mark.parametrize('source', ['labels', 'cams'])
def test_a_class_that_is_in_no_mask_is_named(tmp_path: Path, source: str, labels: list, note: Any):
    gt = masks(tmp_path, MASKS if note is None else [MASKS[0], MASKS[0], MASKS[2]])
    if source == 'labels':
        result = evaluate_label_folder(write_folder(tmp_path / 'labels', '.png', labels), gt, '012', CLASSES)
    else:
        maps = [{int(c) - 1: label == c for c in np.unique(label) if 0 < c < 255} for label in labels]
        result = evaluate_cam_folder(write_folder(tmp_path / 'cams', '.npy', maps), gt, '012', CLASSES, (.5, ))
    assert len(result.notes) == bool(note)
    assert note is None or note in result.notes[0]


def test_an_empty_list_of_images(tmp_path: Path):
    for evaluate in (evaluate_label_folder, evaluate_cam_folder):
        with pytest.raises(ValueError, match='list of image ids is empty'):
            evaluate(masks(tmp_path), masks(tmp_path), [], CLASSES)
