from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmwsss.datasets.map_files import write_cams, write_label_map
from mmwsss.evaluation import LabelCounts, evaluate_cam_folder, evaluate_label_folder

X = 255
CLASSES = ('background', 'a', 'b')
GT = {'a': [[0, 0, 1], [0, 1, 1]], 'b': [[2, 2, X], [2, 0, 0]]}
LABELS = {'a': [[0, 1, 1], [0, 1, 0]], 'b': [[2, 1, 2], [0, 0, 2]]}
CAMS = {
    'a': {0: [[.1, .3, .9], [.3, .6, .2]]},
    'b': {1: [[.8, .5, .9], [.3, .2, .1]], 0: [[.1, .6, 0], [.1, .3, 0]]}
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for image_id in 'ab':
        write_label_map(np.array(GT[image_id]), tmp_path / f'gt/{image_id}.png')
        write_label_map(np.array(LABELS[image_id]), tmp_path / f'labels/{image_id}.png')
        cams = {key: np.array(cam, np.float32) for key, cam in CAMS[image_id].items()}
        (tmp_path / 'cams').mkdir(exist_ok=True)
        np.save(tmp_path / f'cams/{image_id}.npy', cams)
    return tmp_path


def test_label_maps_of_the_worked_example(root: Path):
    result = evaluate_label_folder(root / 'labels', root / 'gt', 'ab', CLASSES)
    found = result.to_dict()
    assert found['IoU'] == pytest.approx([42.8571, 40, 25], abs=1e-4)
    assert (found['mIoU'], found['FP'], found['FN']) == pytest.approx((35.952381, 31.190476, 32.857143))
    assert (found['undecided'], found['num_images'], found['notes']) == (0, 2, [])
    assert result.per_class().loc['a', 'IoU'] == pytest.approx(40)


def test_class_maps_of_the_worked_example(root: Path):
    thresholds = (0, .1, .2, .3, .31, .5, .7)
    result = evaluate_cam_folder(root / 'cams', root / 'gt', 'ab', CLASSES, thresholds)
    expected = {'mIoU': (29.1667, 49.8413, 42.8571, 51.5873, 51.5873, 51.5873, 40.7407),
                'FP': (29.1667, 19.0476, 24.6032, 17.8571, 17.8571, 17.8571, 14.8148),
                'FN': (41.6667, 31.1111, 32.5397, 30.5556, 30.5556, 30.5556, 44.4444)}
    for name, values in expected.items():
        assert result.means[name].tolist() == pytest.approx(values, abs=1e-4), name
    assert (result.best(), result.best(stop_early=True)) == (.3, .1)


def test_own_files_and_those_with_a_background_plane(root: Path):
    expected = evaluate_cam_folder(root / 'cams', root / 'gt', 'ab', CLASSES, (.3, .55))
    for image_id, cams in CAMS.items():
        keys = sorted(cams)
        maps = np.array([cams[key] for key in keys])
        write_cams(maps + 1e-3, keys, maps.shape[1:], root / f'own/{image_id}.npz')
        shifted = {0: np.ones_like(maps[0]), **{key + 1: cam for key, cam in zip(keys, maps)}}
        (root / 'shifted').mkdir(exist_ok=True)
        np.save(root / f'shifted/{image_id}.npy', shifted)
    own = evaluate_cam_folder(root / 'own', root / 'gt', 'ab', CLASSES, (.3005, .55))
    shifted = evaluate_cam_folder(root / 'shifted', root / 'gt', 'ab', CLASSES, (.3, .55), first_key=1)
    pd.testing.assert_frame_equal(own.per_class(.55), expected.per_class(.55))
    for threshold in (.3, .55):
        pd.testing.assert_frame_equal(shifted.per_class(threshold), expected.per_class(threshold))


def test_smaller_maps_are_enlarged(tmp_path: Path):
    gt = np.zeros((40, 60), np.uint8)
    gt[:, 30:] = 1
    write_label_map(gt, tmp_path / 'gt/a.png')
    write_cams((gt[None, ::10, ::10]).astype(float), [0], gt.shape, tmp_path / 'cams/a.npz')
    found = evaluate_cam_folder(tmp_path / 'cams', tmp_path / 'gt', ['a'], CLASSES[:2], (.5, ))
    assert found.means['mIoU'][.5] > 90


def test_undecided_pixels_count_as_missed_or_not_at_all(root: Path):
    labels = np.array(LABELS['a'])
    labels[1, 1:] = X
    write_label_map(labels, root / 'labels/a.png')
    wrong, skipped = (evaluate_label_folder(root / 'labels', root / 'gt', 'a', CLASSES, undecided=mode).to_dict()
                      for mode in ('wrong', 'skip'))
    assert wrong['IoU'][:2] == pytest.approx([200 / 3, 25])
    assert skipped['IoU'][:2] == pytest.approx([200 / 3, 50])
    assert wrong['undecided'] == skipped['undecided'] == pytest.approx(100 / 3)


def test_progress_is_reported(root: Path):
    calls = []
    evaluate_label_folder(root / 'labels', root / 'gt', 'ab' * 20, CLASSES, advance=lambda: calls.append(1))
    evaluate_cam_folder(root / 'cams', root / 'gt', 'ab' * 20, CLASSES, advance=lambda: calls.append(1))
    assert len(calls) == 80


def test_missing_files_are_listed_and_counted(root: Path):
    ids = ['a', *(f'n{i}' for i in range(9))]
    for evaluate, folder in ((evaluate_label_folder, 'labels'), (evaluate_cam_folder, 'cams')):
        with pytest.raises(FileNotFoundError, match=f"9 of 10 .* are missing in .*{folder}: 'n0', .* and 4 more"):
            evaluate(root / folder, root / 'gt', ids, CLASSES)
    with pytest.raises(FileNotFoundError, match='masks .*none does not exist'):
        evaluate_label_folder(root / 'labels', root / 'none', 'ab', CLASSES)


def test_files_that_do_not_fit_are_named(root: Path):
    Image.new('L', (4, 4)).save(root / 'labels/b.png')
    with pytest.raises(ValueError, match=r'labels/b.png: the label map is \(4, 4\)'):
        evaluate_label_folder(root / 'labels', root / 'gt', 'ab', CLASSES)
    write_label_map(np.full((2, 3), 9), root / 'labels/a.png')
    with pytest.raises(ValueError, match=r'labels/a.png: labels hold \[9\]'):
        evaluate_label_folder(root / 'labels', root / 'gt', 'a', CLASSES)
    with pytest.raises(ValueError, match='cams/b.npy has the class key 1, .* are 0 to 0; if .* use first_key=1'):
        evaluate_cam_folder(root / 'cams', root / 'gt', 'b', CLASSES[:2])
    np.save(root / 'cams/a.npy', {0: np.full((2, 3), 7.)})
    with pytest.raises(ValueError, match='cams/a.npy: cams must lie in'):
        evaluate_cam_folder(root / 'cams', root / 'gt', 'ab', CLASSES)


@pytest.mark.parametrize(('labels', 'gt', 'message'), [([[3]], [[0]], r'labels hold \[3\]'),
                                                       ([[0]], [[7]], r'gt hold \[7\], allowed are 0 to 2')])
def test_values_that_are_no_classes_are_refused(labels: list, gt: list, message: str):
    with pytest.raises(ValueError, match=message):
        LabelCounts(3).update(np.array(labels), np.array(gt))


def test_wrong_settings_are_refused(root: Path):
    with pytest.raises(ValueError, match="'wrong' or 'skip'"):
        LabelCounts(3, undecided='maybe')
    with pytest.raises(ValueError, match='background'):
        LabelCounts(1)
    with pytest.raises(ValueError, match='first_key'):
        evaluate_cam_folder(root / 'cams', root / 'gt', 'ab', CLASSES, first_key=2)
