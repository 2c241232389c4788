"""Slow references of the metrics, and evaluation in several processes."""

from collections.abc import Callable

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator


def brute_force(images: list, threshold: float, num_classes: int, ignore_index: int = 255) -> dict:
    """Evaluate one threshold by a full pass: background plane, argmax, one confusion matrix."""
    confusion = np.zeros((num_classes, num_classes), np.int64)
    for cams, gt in images:
        background = np.full_like(cams[:1], threshold)
        prediction = np.concatenate([background, cams]).argmax(0)
        for truth, guess in zip(gt.ravel(), prediction.ravel()):
            if truth != ignore_index:
                confusion[truth, guess] += 1
    hits, truth, guess = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    union = truth + guess - hits
    with np.errstate(invalid='ignore', divide='ignore'):
        rates = {'IoU': hits / union, 'class_FP': (guess - hits) / union,
                 'class_FN': (truth - hits) / union, 'precision': hits / guess,
                 'recall': hits / truth}
    return {name: 100 * rate for name, rate in rates.items()}


def evaluate_in_ranks(file: str, make_evaluator: Callable[[], Evaluator], samples: list, world_size: int,
                       batch_size: int = 2) -> tuple[int, list[dict]]:
    """Return how many samples all ranks saw, with those that fill up, and the metrics of each rank."""
    context = mp.get_context('fork')
    queue = context.Queue()
    common = (world_size, file, make_evaluator, samples, batch_size, queue)
    ranks = [context.Process(target=run_rank, args=(rank, *common)) for rank in range(world_size)]
    [rank.start() for rank in ranks]
    found = [queue.get(timeout=60) for _ in ranks]
    [rank.join() for rank in ranks]
    return sum(count for count, _ in found), [metrics for _, metrics in found]


def run_rank(rank: int, world_size: int, file: str, make_evaluator: Callable, samples: list, batch_size: int,
              queue: mp.Queue) -> None:
    """Evaluate this rank's share of the samples, as the validation loop does."""
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'file://{file}', rank=rank, world_size=world_size)
    evaluator = make_evaluator()
    own = list(DefaultSampler(samples, shuffle=False))
    for start in range(0, len(own), batch_size):
        evaluator.process([samples[i] for i in own[start:start + batch_size]])
    queue.put((len(own), evaluator.evaluate(len(samples))))
    dist.destroy_process_group()
