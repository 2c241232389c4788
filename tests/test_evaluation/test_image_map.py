import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmseg.structures import SegDataSample

from mmwsss.registry import METRICS

CLASSES = 6


def naive_ap(scores, true):
    """Area under the precision-recall steps, walking down the distinct thresholds."""
    area, recall = 0., 0.
    for threshold in sorted(set(scores), reverse=True):
        taken = [t for s, t in zip(scores, true) if s >= threshold]
        area += (sum(taken) / sum(true) - recall) * sum(taken) / len(taken)
        recall = sum(taken) / sum(true)
    return area


def make_samples(count, seed=0):
    """Make samples with tied scores, the third and every fifth after it without a label."""
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(count):
        label = rng.random(CLASSES) < .4
        label[rng.integers(CLASSES)] = True
        sample = SegDataSample(metainfo={'img_path': f'{index}.jpg'})
        sample.gt_label = torch.from_numpy(label * (index % 5 != 2)).float()
        sample.cls_logits = torch.from_numpy(rng.integers(-3, 4, CLASSES).astype(np.float32))
        samples.append(sample)
    return samples


def evaluator(**cfg):
    result = Evaluator([METRICS.build(dict(type='ImageMAP', **cfg))])
    result.dataset_meta = {'classes': ('background', *'abcdef')}
    return result


def expected(samples):
    values = [naive_ap(s.cls_logits.tolist(), s.gt_label.tolist()) for s in samples if s.gt_label.any()]
    return {'cls/mAP': round(100 * sum(values) / len(values), 2)}


@pytest.mark.parametrize(('images', 'mean'), [
    ([([.9, .8, .7, .6], [1, 0, 1, 0])], (1 + 2 / 3) / 2),
    ([([.9, .8, .7, .6], [1, 0, 1, 0]), ([0, 0, 0, 0], [1, 0, 0, 0])], ((1 + 2 / 3) / 2 + 1 / 4) / 2),
    ([([.9, .8, .7, .6], [1, 0, 1, 0]), ([1, 2, 3, 4], [0, 0, 0, 0])], (1 + 2 / 3) / 2),
    ([([1, 2, 3, 4], [0, 0, 0, 0])], np.nan)])
def test_worked_example(images, mean):
    samples = []
    for scores, label in images:
        samples.append(SegDataSample(cls_logits=torch.tensor(scores), gt_label=torch.tensor(label)))
    found = evaluator().offline_evaluate(samples)['cls/mAP']
    assert found == pytest.approx(100 * mean, abs=.005, nan_ok=True)


def test_numbers_equal_an_independent_evaluation():
    samples = make_samples(23)
    assert evaluator().offline_evaluate(samples, chunk_size=4) == expected(samples)
    for sample in samples:
        sample.cls_logits = sample.cls_logits.sigmoid()
    assert evaluator().offline_evaluate(samples) == expected(samples)


def test_order_of_images_does_not_matter():
    samples = make_samples(50)
    assert evaluator().offline_evaluate(samples) == evaluator().offline_evaluate(samples[::-1])


@pytest.mark.parametrize(('count', 'world_size'), [(5, 2), (2, 3)])
def test_ranks_give_the_numbers_of_one_process(evaluate_in_ranks, tmp_path, count, world_size):
    samples = make_samples(count)
    _, metrics = evaluate_in_ranks(lambda: evaluator(collect_dir=str(tmp_path / 'parts')), samples, world_size, 1)
    assert metrics == [expected(samples)] * world_size


def test_what_does_not_fit_is_refused_with_the_image():
    sample, = make_samples(1)
    sample.cls_logits = torch.zeros(4)
    with pytest.raises(ValueError, match=r'0.jpg: scores and true labels differ in shape: \(4,\) and \(6,\)'):
        evaluator().process([sample])
    sample.cls_logits = torch.tensor([0., np.nan, 0, 0, 0, 0])
    with pytest.raises(ValueError, match='0.jpg: 1 of 6 class scores are NaN'):
        evaluator().process([sample])
    sample.cls_logits = torch.tensor([0., np.inf, 0, -np.inf, 0, 0])
    with pytest.raises(ValueError, match='0.jpg: 2 of 6 class scores are NaN or infinite'):
        evaluator().process([sample])
    del sample.cls_logits
    with pytest.raises(KeyError, match='0.jpg has no .*cls_logits'):
        evaluator().process([sample])
