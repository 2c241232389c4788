"""mmseg's IoU metric with checks of the masks."""

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmwsss.registry import METRICS

CLASSES = ('background', 'cat', 'dog')


def evaluate(samples: list, kind: str = 'CheckedIoUMetric', **cfg: object) -> dict:
    evaluator = Evaluator([METRICS.build({'type': kind, 'prefix': 'seg', 'iou_metrics': ['mIoU'], **cfg})])
    evaluator.dataset_meta = {'classes': CLASSES}
    return evaluator.offline_evaluate(samples)


def sample(prediction: list, mask: list, name: str = 'a.jpg') -> SegDataSample:
    fields = {'pred_sem_seg': prediction, 'gt_sem_seg': mask}
    return SegDataSample(metainfo={'img_path': name},
                         **{key: PixelData(data=torch.tensor([[row]])) for key, row in fields.items()})


def test_numbers_are_those_of_mmseg():
    rng = np.random.default_rng(0)
    samples = [sample(rng.integers(0, 3, 50).tolist(), rng.choice([0, 1, 2, 255], 50).tolist()) for _ in range(4)]
    assert evaluate(samples) == evaluate(samples, 'mmseg.IoUMetric')


@pytest.mark.parametrize(('prediction', 'mask', 'words', 'defined'), [
    ([0, 0, 0, 0], [0, 255, 0, 255], 'only 0 and 255', False),
    ([0, 1, 0, 0], [0, 0, 0, 0], 'no pixel of a foreground class', False),
    ([0, 1, 2, 0], [0, 1, 1, 0], "in none of the masks: 'dog'", True),
    ([0, 1, 0, 0], [0, 1, 1, 0], "left out of the means: 'dog'", True),
])
def test_a_mean_that_says_nothing_is_not_given_silently(caplog: pytest.LogCaptureFixture, prediction: list, mask: list,
                                                        words: str, defined: bool):
    MMLogger.get_current_instance().addHandler(caplog.handler)
    found = evaluate([sample(prediction, mask)])
    assert words in caplog.text
    assert set(found) == {'seg/aAcc', 'seg/mIoU', 'seg/mAcc'}
    assert all(np.isfinite(value) == defined for value in found.values())


@pytest.mark.parametrize('value', [3, 254, -1])
def test_values_that_are_no_class_are_refused_with_the_image(value: int):
    samples = [sample([0, 1], [0, 1]), sample([0, 1], [0, value], 'b.jpg')]
    with pytest.raises(ValueError, match=rf'the mask of b.jpg holds \[{value}\], allowed are 0 to 2'):
        evaluate(samples)


def test_no_masks_are_needed_to_write_predictions(tmp_path):
    prediction = sample([0, 1], [0, 0], 'a.jpg')
    del prediction.gt_sem_seg
    assert evaluate([prediction], format_only=True, output_dir=str(tmp_path)) == {}
    assert (tmp_path / 'a.png').is_file()
