import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from mmseg.structures import SegDataSample

from mmwsss.evaluation import ImageAP
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
    """Give samples with tied scores among them, and the third and every fifth one after it without a label."""
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


def test_worked_example():
    ap = ImageAP()
    ap.update(torch.tensor([.9, .8, .7, .6]), torch.tensor([True, False, True, False]))
    assert ap.compute() == pytest.approx(100 * (1 + 2 / 3) / 2)
    ap.update(torch.tensor([0., 0, 0, 0]), torch.tensor([True, False, False, False]))
    assert ap.compute() == pytest.approx(100 * ((1 + 2 / 3) / 2 + 1 / 4) / 2)
    ap.update(torch.tensor([1., 2, 3, 4]), torch.tensor([False] * 4))
    assert ap.num_images == 2
    assert np.isnan(ImageAP().compute())


def test_numbers_equal_an_independent_evaluation():
    samples = make_samples(23)
    assert evaluator().offline_evaluate(samples, chunk_size=4) == expected(samples)
    for sample in samples:
        sample.cls_logits = sample.cls_logits.sigmoid()
    assert evaluator().offline_evaluate(samples) == expected(samples)


def test_order_of_images_does_not_matter():
    values = []
    for order in (1, -1):
        ap = ImageAP()
        for sample in make_samples(50)[::order]:
            ap.update(sample.cls_logits, sample.gt_label > 0)
        values.append(ap.compute())
    assert values[0] == values[1]


def run_rank(rank, world_size, count, file, queue):
    """Evaluate this rank's share of the samples, as the validation loop does."""
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'file://{file}', rank=rank, world_size=world_size)
    samples = make_samples(count)
    metric = evaluator(collect_dir=f'{file}.parts')
    for index in DefaultSampler(samples, shuffle=False):
        metric.process([samples[index]])
    queue.put(metric.evaluate(count))
    dist.destroy_process_group()


@pytest.mark.parametrize(('count', 'world_size'), [(5, 2), (2, 3)])
def test_ranks_give_the_numbers_of_one_process(tmp_path, count, world_size):
    context = mp.get_context('fork')
    queue = context.Queue()
    ranks = [context.Process(target=run_rank, args=(rank, world_size, count, f'{tmp_path}/init', queue))
             for rank in range(world_size)]
    [rank.start() for rank in ranks]
    found = [queue.get(timeout=60) for _ in ranks]
    [rank.join() for rank in ranks]
    assert found == [expected(make_samples(count))] * world_size


def test_what_does_not_fit_is_refused_with_the_image():
    sample, = make_samples(1)
    sample.cls_logits = torch.zeros(4)
    with pytest.raises(ValueError, match=r'0.jpg: scores and true labels differ in shape: \(4,\) and \(6,\)'):
        evaluator().process([sample])
    sample.cls_logits = torch.tensor([0., np.nan, 0, 0, 0, 0])
    with pytest.raises(ValueError, match='0.jpg: 1 of 6 class scores are NaN'):
        evaluator().process([sample])
    del sample.cls_logits
    with pytest.raises(KeyError, match='0.jpg has no .*cls_logits'):
        evaluator().process([sample])
