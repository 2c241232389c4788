from collections.abc import Callable

import numpy as np
import pytest
import torch

from mmwsss.evaluation import MAX_THRESHOLDS, ThresholdSweep, best_threshold, default_thresholds

TOY_GT = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 255], [0, 0, 2, 2]])
TOY_CAMS = np.array([
    [[.1, .2, .1, 0], [.3, .9, .6, .2], [.2, .8, .4, .9], [.1, .1, .1, .1]],
    [[0, 0, 0, 0], [0, 0, .1, .3], [0, 0, .5, .2], [0, .4, .7, 1]],
])


def tied_images(rng: np.random.Generator, num_classes: int, count: int = 4) -> list:
    """Random maps on a coarse grid of values, so that many scores tie with each other and the grid."""
    images = []
    for _ in range(count):
        height, width = rng.integers(3, 12, 2)
        cams = (rng.integers(0, 11, (num_classes - 1, height, width)) / 10).astype(np.float32)
        cams[rng.random(num_classes - 1) < .5] = 0
        gt = rng.integers(0, num_classes, (height, width))
        gt[rng.random(gt.shape) < .2] = 255
        images.append((cams, gt))
    return images


def test_toy_numbers():
    sweep = ThresholdSweep(num_classes=3, thresholds=(.25, .35, .45, .55))
    sweep.update(TOY_CAMS, TOY_GT)
    found = sweep.compute()
    assert found['mIoU'] == pytest.approx([55.5556, 71.2963, 80.5556, 88.3333], abs=1e-4)
    assert found['FP'] == pytest.approx([26.6667, 16.6667, 11.1111, 3.3333], abs=1e-4)
    assert found['FN'] == pytest.approx([17.7778, 12.0370, 8.3333, 8.3333], abs=1e-4)
    assert found['mPrecision'][[0, 3]] == pytest.approx([71.6667, 96.6667], abs=1e-4)
    assert found['mRecall'][[0, 3]] == pytest.approx([80.5556, 91.6667], abs=1e-4)


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
@pytest.mark.parametrize('num_classes', [2, 5, 21])
def test_equals_a_full_pass_per_threshold(brute_force: Callable, num_classes: int, dtype: type):
    images = [(cams.astype(dtype), gt)
              for cams, gt in tied_images(np.random.default_rng(num_classes), num_classes)]
    thresholds = np.union1d(np.arange(11) / 10, np.random.default_rng(0).random(9))
    sweep = ThresholdSweep(num_classes, thresholds)
    for cams, gt in images:
        sweep.update(cams, gt)
    found = sweep.compute()
    for i, threshold in enumerate(thresholds):
        expected = brute_force(images, threshold, num_classes)
        for name, rate in expected.items():
            np.testing.assert_allclose(found[name][i], rate, rtol=1e-12, err_msg=f'{name}@{threshold}')
        assert found['mIoU'][i] == pytest.approx(np.nanmean(expected['IoU']))


def test_crowded_thresholds_are_exact(brute_force: Callable):
    thresholds = np.linspace(.5, .5001, 37)
    cams = np.random.default_rng(3).choice(thresholds, (2, 40, 40))
    gt = np.random.default_rng(4).integers(0, 3, (40, 40))
    sweep = ThresholdSweep(3, thresholds)
    sweep.update(cams, gt)
    for i in (0, 18, 36):
        np.testing.assert_allclose(sweep.compute()['IoU'][i],
                                   brute_force([(cams, gt)], thresholds[i], 3)['IoU'])


def test_a_score_equal_to_the_threshold_is_background_in_the_dtype_of_the_scores():
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        cams = torch.full((1, 1, 1), .3, dtype=dtype)
        sweep = ThresholdSweep(2, (.3, ))
        sweep.update(cams, torch.ones(1, 1, dtype=torch.uint8))
        assert sweep.compute()['IoU'][0, 1] == 0, dtype
        sweep.update(cams + 2**-6, torch.ones(1, 1, dtype=torch.uint8))
        assert sweep.compute()['IoU'][0, 1] == 50, dtype


def test_class_rates_of_a_class_add_up_to_100():
    sweep = ThresholdSweep(5)
    for cams, gt in tied_images(np.random.default_rng(1), 5):
        sweep.update(cams, gt)
    found = sweep.compute()
    np.testing.assert_allclose(found['IoU'] + found['class_FP'] + found['class_FN'], 100)
    np.testing.assert_allclose(found['mIoU'] + found['FP'] + found['FN'], 100)


def test_numpy_torch_and_present_channels_agree():
    cams, gt = tied_images(np.random.default_rng(7), 6)[0]
    present = np.flatnonzero(cams.any((1, 2)))
    sweeps = [ThresholdSweep(6) for _ in range(3)]
    sweeps[0].update(cams, gt)
    sweeps[1].update(torch.from_numpy(cams), torch.from_numpy(gt).to(torch.int16))
    sweeps[2].update(cams[present], gt.astype(np.uint16), channels=present)
    for other in sweeps[1:]:
        for name, values in sweeps[0].compute().items():
            np.testing.assert_array_equal(values, other.compute()[name], err_msg=name)


def test_merge_equals_one_sweep():
    images = tied_images(np.random.default_rng(5), 4)
    parts = [ThresholdSweep(4), ThresholdSweep(4)]
    whole = ThresholdSweep(4)
    for i, (cams, gt) in enumerate(images):
        whole.update(cams, gt)
        parts[i % 2].update(cams, gt)
    parts[0].merge(parts[1])
    for name, values in whole.compute().items():
        np.testing.assert_array_equal(values, parts[0].compute()[name], err_msg=name)
    with pytest.raises(ValueError, match='merged'):
        whole.merge(ThresholdSweep(4, (.5, )))


def test_classes_that_never_occur_are_left_out_of_the_mean():
    sweep = ThresholdSweep(4, (.5, ))
    sweep.update(np.array([[[.9, 0.]], [[0, 0]], [[0, 0]]]), np.array([[1, 0]]))
    found = sweep.compute()
    assert found['mIoU'] == [100]
    assert np.isnan(found['IoU'][0, 2:]).all()


def test_no_image_and_no_present_class():
    sweep = ThresholdSweep(3, (.2, .4))
    assert np.isnan(sweep.compute()['mIoU']).all()
    sweep.update(np.zeros((2, 2, 2)), np.array([[0, 1], [0, 255]]))
    np.testing.assert_allclose(sweep.compute()['IoU'][:, :2], [[200 / 3, 0]] * 2)
    sweep.update(np.zeros((0, 2, 2)), np.zeros((2, 2), int), channels=())
    np.testing.assert_allclose(sweep.compute()['IoU'][:, :2], [[600 / 7, 0]] * 2)


def test_negative_ignore_index():
    sweep = ThresholdSweep(2, (.5, ), ignore_index=-1)
    sweep.update(np.array([[[.9, .9]]]), np.array([[1, -1]]))
    assert sweep.compute()['IoU'][0, 1] == 100


def test_default_thresholds_equal_their_literals():
    assert default_thresholds().tolist() == [float(f'0.{i:02d}') for i in range(100)]


@pytest.mark.parametrize(('values', 'best', 'early'), [
    ([29.2, 49.8, 42.9, 51.6, 51.6, 40.7], 3, 1), ([1, 2, 3], 2, 2), ([3, 3, 4], 2, 0), ([5], 0, 0),
    ([np.nan, np.nan], 0, 0), ([1, 2, np.nan, 3], 3, 1)
])
def test_best_threshold_with_and_without_stopping_early(values: list, best: int, early: int):
    assert best_threshold(np.array(values)) == best
    assert best_threshold(np.array(values), stop_early=True) == early


@pytest.mark.parametrize(('cams', 'gt', 'error', 'message'), [
    (np.full((2, 1, 1), 3.), np.zeros((1, 1), int), ValueError, r'\[0, 1\].*normalize'),
    (np.full((2, 1, 1), np.nan), np.zeros((1, 1), int), ValueError, 'NaN or infinite'),
    (np.array([[[np.inf]], [[.5]]]), np.zeros((1, 1), int), ValueError, 'NaN or infinite'),
    (np.array([[[-np.inf, .5]], [[.5, .5]]]), np.zeros((1, 2), int), ValueError, 'NaN or infinite'),
    (np.zeros((2, 1, 1)), np.full((1, 1), 3), ValueError, r'\[3\].*0 to 2'),
    (np.zeros((2, 1, 1)), np.full((1, 1), -1), ValueError, r'\[-1\]'),
    (np.zeros((2, 1, 1)), np.full((1, 1), 2**40), ValueError, str(2**40)),
    (np.zeros((3, 1, 1)), np.zeros((1, 1), int), ValueError, r'\(2, H, W\).*\(3, 1, 1\)'),
    (np.zeros((2, 1, 2)), np.zeros((1, 1), int), ValueError, 'resize'),
    (np.zeros((2, 1, 1), int), np.zeros((1, 1), int), TypeError, 'floating'),
    (np.zeros((2, 1, 1)), np.zeros((1, 1)), TypeError, 'integer'),
    ([[[0.]]], np.zeros((1, 1), int), TypeError, 'list'),
])
def test_wrong_inputs_are_refused_and_leave_no_trace(cams: object, gt: np.ndarray, error: type,
                                                     message: str):
    sweep = ThresholdSweep(3)
    with pytest.raises(error, match=message):
        sweep.update(cams, gt)
    assert np.isnan(sweep.compute()['IoU']).all()


@pytest.mark.parametrize('thresholds', [(), (.5, .5), (.5, .2), (-.1, .5), (.5, 1.1), (np.nan, )])
def test_wrong_thresholds_are_refused(thresholds: tuple):
    with pytest.raises(ValueError, match='thresholds must be'):
        ThresholdSweep(3, thresholds)


def test_thresholds_by_the_million_are_refused():
    ThresholdSweep(2, np.linspace(0, 1, MAX_THRESHOLDS))
    with pytest.raises(ValueError, match='1,000,000 thresholds, at most 10,000'):
        ThresholdSweep(2, range(1_000_000))


@pytest.mark.parametrize('channels', [(1, 0), (0, 2), (0, 0)])
def test_wrong_channels_are_refused(channels: tuple):
    with pytest.raises(ValueError, match='channels must be'):
        ThresholdSweep(3).update(np.zeros((2, 1, 1)), np.zeros((1, 1), int), channels=channels)
