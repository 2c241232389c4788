from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmwsss.evaluation import CAMMetric
from mmwsss.registry import METRICS

CLASSES = ('background', 'a', 'b', 'c', 'd')


def make_samples(count: int, seed: int = 0) -> list:
    """Samples whose maps have scores for absent classes too, which the metric must not look at."""
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(count):
        height, width = rng.integers(4, 9, 2)
        label = (rng.random(4) < .5).astype(np.float32)
        label[rng.integers(4)] = 1
        gt = rng.choice([0, *(np.flatnonzero(label) + 1), 255], (1, height, width))
        sample = SegDataSample(metainfo={'img_path': f'{index}.jpg'})
        sample.cams = PixelData(data=torch.from_numpy(rng.random((4, height, width), np.float32)))
        sample.aux_cams = PixelData(data=sample.cams.data**2)
        sample.gt_sem_seg = PixelData(data=torch.from_numpy(gt))
        sample.gt_label = torch.from_numpy(label)
        sample.cls_logits = torch.from_numpy(rng.normal(size=4).astype(np.float32))
        samples.append(sample)
    return samples


def evaluator(*cfgs: dict) -> Evaluator:
    result = Evaluator([METRICS.build({'type': 'CAMMetric', **cfg}) for cfg in cfgs])
    result.dataset_meta = {'classes': CLASSES}
    return result


def evaluate(samples: list, *cfgs: dict, batch_size: int = 2) -> dict:
    return evaluator(*cfgs).offline_evaluate(samples, chunk_size=batch_size)


def masked_images(samples: list, present: str) -> list:
    labels = [s.gt_label if present == 'gt' else (s.cls_logits > 0).float() for s in samples]
    return [((s.cams.data * label[:, None, None]).numpy(), s.gt_sem_seg.data[0].numpy())
            for s, label in zip(samples, labels)]


@pytest.mark.parametrize('image_labels', ['gt', 'predicted'])
def test_numbers_equal_an_independent_evaluation(brute_force: Callable, image_labels: str):
    samples = make_samples(5)
    found = evaluate(samples, {'threshold': .455, 'image_labels': image_labels})
    images = masked_images(samples, image_labels)
    at_fixed = brute_force(images, .455, 5)
    for name, rate in (('mIoU', 'IoU'), ('FP', 'class_FP'), ('FN', 'class_FN'),
                       ('precision', 'precision'), ('recall', 'recall')):
        assert found[f'cam/{name}'] == round(np.nanmean(at_fixed[rate]), 2), name
    grid = np.union1d(np.arange(100) / 100, [.455])
    means = [np.nanmean(brute_force(images, threshold, 5)['IoU']) for threshold in grid]
    assert found['cam/oracle_mIoU'] == round(max(means), 2)
    assert found['cam/oracle_threshold'] == round(grid[np.argmax(means)], 2)
    assert found['cam/oracle_mIoU'] > found['cam/mIoU']


def test_f1_is_the_mean_over_images():
    samples = make_samples(2)
    samples[0].gt_label, samples[0].cls_logits = torch.tensor([1., 1, 0, 0]), torch.tensor([1., -1, 2, 0])
    samples[1].gt_label, samples[1].cls_logits = torch.tensor([0., 0, 0, 1]), torch.tensor([-1., -1, -1, .1])
    assert evaluate(samples, {})['cam/cls_F1'] == 75
    assert 'cam/cls_F1' not in evaluate(samples, {'logits_field': None})


def test_two_fields_have_names_of_their_own():
    samples = make_samples(3)
    found = evaluate(samples, {}, {'field': 'aux_cams', 'name': 'aux'})
    assert {'cam/mIoU', 'cam/aux_mIoU', 'cam/oracle_mIoU', 'cam/aux_oracle_threshold'} <= set(found)
    assert [key for key in found if 'F1' in key] == ['cam/cls_F1']
    for sample in samples:
        sample.cams = sample.aux_cams
    assert found['cam/aux_mIoU'] == evaluate(samples, {})['cam/mIoU'] != found['cam/mIoU']


def test_metric_starts_anew_after_evaluation():
    samples = make_samples(4)
    metric = evaluator({})
    first = metric.offline_evaluate(samples[:2])
    metric.offline_evaluate(samples[2:])
    assert metric.offline_evaluate(samples[:2]) == first


def test_per_class_table_is_logged(caplog: pytest.LogCaptureFixture):
    logger = MMLogger.get_instance('cam_metric_test')
    logger.addHandler(caplog.handler)
    evaluate(make_samples(2), {'threshold': .25})
    assert 'cams at threshold 0.25' in caplog.text
    assert all(name in caplog.text for name in (*CLASSES, 'precision', 'mean'))


@pytest.mark.parametrize(('count', 'world_size'), [(5, 2), (4, 2), (2, 3)])
def test_ranks_give_the_numbers_of_one_process(evaluate_in_ranks: Callable, tmp_path: Path, count: int,
                                               world_size: int):
    samples = make_samples(count)
    seen, metrics = evaluate_in_ranks(lambda: evaluator({'collect_dir': str(tmp_path / 'parts')}), samples, world_size)
    assert seen == -(-count // world_size) * world_size
    assert metrics == [evaluate(make_samples(count), {})] * world_size


def test_a_sampler_that_does_not_split_is_refused():
    metric = evaluator({})
    metric.process(make_samples(4))
    with pytest.raises(ValueError, match='4 of 2 images.*DefaultSampler'):
        metric.evaluate(2)


@pytest.mark.parametrize(('field', 'cfg'), [('cams', {}), ('gt_sem_seg', {}), ('gt_label', {}),
                                            ('cls_logits', {'image_labels': 'predicted'})])
def test_a_missing_field_is_named(field: str, cfg: dict):
    samples = make_samples(1)
    delattr(samples[0], field)
    with pytest.raises(KeyError, match=f'0.jpg has no .*{field}'):
        evaluate(samples, cfg)


def test_maps_that_do_not_fit_are_refused_with_the_image():
    samples = make_samples(1)
    samples[0].cams = PixelData(data=samples[0].cams.data[:, :2])
    with pytest.raises(ValueError, match='0.jpg: gt is'):
        evaluate(samples, {})
    samples[0].cams = PixelData(data=torch.zeros(7, 3, 3))
    with pytest.raises(ValueError, match='0.jpg: cams have 7 channels.*4 class labels'):
        evaluate(samples, {})


@pytest.mark.parametrize(('gt', 'label', 'words'), [
    ([0, 0, 255, 0], 'a', 'hold only 0 and 255'), ([0, 0, 0, 0], 'a', 'no pixel of a foreground class'),
    ([0, 2, 2, 0], 'a', "in none of the masks: 'a'")])
def test_a_mean_that_says_nothing_is_not_given_silently(caplog: pytest.LogCaptureFixture, gt: list, label: str,
                                                        words: str):
    MMLogger.get_current_instance().addHandler(caplog.handler)
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.tensor([[gt]])))
    sample.cams = PixelData(data=torch.tensor([.9, 0, 0, 0]).view(4, 1, 1).expand(4, 1, 4).clone())
    sample.gt_label = torch.tensor([1., 0, 0, 0])
    found = evaluate([sample], {})
    assert words in caplog.text
    assert np.isnan(found['cam/mIoU']) == np.isnan(found['cam/oracle_threshold']) == (2 not in gt)


@pytest.mark.parametrize('value', [np.nan, np.inf])
@pytest.mark.parametrize('field', ['cams', 'cls_logits'])
def test_nan_is_refused_with_the_image(field: str, value: float):
    sample, = make_samples(1)
    sample.gt_label[:] = 1
    if field == 'cams':
        sample.cams.data[0, 1, 2] = value
    else:
        sample.cls_logits[1] = value
    with pytest.raises(ValueError, match=f'{field} of 0.jpg: .* NaN or infinite'):
        evaluate([sample], {})


@pytest.mark.parametrize(('cfg', 'message'), [
    ({'image_labels': 'none'}, "'gt' or 'predicted'"),
    ({'image_labels': 'predicted', 'logits_field': None}, 'logits_field'),
])
def test_wrong_settings_are_refused(cfg: dict, message: str):
    with pytest.raises(ValueError, match=message):
        CAMMetric(**cfg)


def test_a_threshold_outside_the_unit_interval_is_refused():
    with pytest.raises(ValueError, match='1.5'):
        CAMMetric(threshold=1.5)
