"""Affinities of pairs against masks: means and areas by looping over pairs."""

import math

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmwsss.evaluation import PairAffinityMetric
from mmwsss.models.utils import pair_affinity, pair_indices

GRID, SIZE = (6, 10), (45, 78)


def sample_of(seed):
    generator = np.random.default_rng(seed)
    cells = torch.from_numpy(generator.choice([0, 1, 2, 255], GRID))
    mask = cells.repeat_interleave(8, 0).repeat_interleave(8, 1)[:SIZE[0], :SIZE[1]]
    pairs = pair_affinity(torch.from_numpy(generator.normal(size=(1, 4, *GRID))))[0]
    sample = SegDataSample(gt_sem_seg=PixelData(data=mask[None]), metainfo=dict(pair_grid=GRID, pair_radius=5))
    sample.set_field(pairs, 'pair_affinity')
    return cells, pairs, sample


def test_numbers_are_those_of_a_loop():
    own, partners = pair_indices(GRID, 5)
    kinds = {'background': [], 'foreground': [], 'negative': []}
    metric = PairAffinityMetric()
    for seed in range(3):
        cells, pairs, sample = sample_of(seed)
        metric.process({}, [sample.to_dict()])
        flat = cells.flatten().tolist()
        for row, affinities in zip(partners.tolist(), pairs.tolist()):
            for i, j, affinity in zip(own.tolist(), row, affinities):
                if 255 not in (flat[i], flat[j]):
                    same = 'background' if flat[i] == 0 else 'foreground'
                    kinds[same if flat[i] == flat[j] else 'negative'].append(affinity)
    found = metric.evaluate(3)
    negative = np.array(kinds['negative'])
    for name, values in kinds.items():
        assert found[f'affinity/{name}'] == pytest.approx(100 * np.mean(values), abs=0.06)
    for name in ('background', 'foreground'):
        area = np.mean(np.array(kinds[name])[:, None] > negative)
        assert found[f'affinity/{name}_auc'] == pytest.approx(100 * area, abs=0.5)


def test_pairs_that_do_not_occur_are_nan():
    _, _, sample = sample_of(0)
    sample.gt_sem_seg.data[:] = 0
    metric = PairAffinityMetric()
    metric.process({}, [sample.to_dict()])
    found = metric.evaluate(1)
    assert found['affinity/background'] > 0
    assert all(math.isnan(found[f'affinity/{name}']) for name in ('foreground', 'negative', 'background_auc'))


def test_other_models_are_refused():
    with pytest.raises(KeyError, match='must be an AffinityNet'):
        PairAffinityMetric().process({}, [dict(img_path='a.jpg')])


def test_nan_is_refused_with_the_image():
    _, pairs, sample = sample_of(0)
    sample.set_metainfo(dict(img_path='a.jpg'))
    pairs[0, 0] = math.nan
    with pytest.raises(ValueError, match='a.jpg holds NaN'):
        PairAffinityMetric().process({}, [sample.to_dict()])
