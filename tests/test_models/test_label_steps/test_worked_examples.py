"""Worked examples of pseudo labels with two background scores, as lists of steps."""

import pytest
import torch

from mmwsss.models.label_steps import (
    ConstantBackground,
    Downscale,
    LabelBatch,
    LabelPipeline,
    MergeLevels,
    PixelAdaptiveRefinement,
    Softmax,
    ThresholdLabels,
)
from mmwsss.models.utils import quantize_colors


def two_pass_labels(refiner, images, cams, image_labels, high, low, boxes=None, downscale=2):
    """Make labels as ToCo and AReAM do; ``refiner`` may be None."""
    refinement = [] if refiner is None else [refiner]
    steps = [Downscale(downscale), ConstantBackground(low=low, high=high), Softmax(), *refinement]
    return LabelPipeline(steps, MergeLevels())(LabelBatch.from_cams(images, cams, image_labels, boxes))


def direct_labels(refiner, images, cams, image_labels, high, low, boxes=None, downscale=2):
    """Make labels as AReAM's Eq. 16 says."""
    refinement = [] if refiner is None else [refiner]
    pipeline = LabelPipeline([Downscale(downscale), *refinement], ThresholdLabels(low, high))
    return pipeline(LabelBatch.from_cams(images, cams, image_labels, boxes))


def two_tone_scene():
    """Red left half, blue right half; class 2 fires on the left, class 3 far right."""
    images = torch.zeros(1, 3, 8, 8)
    images[:, 0, :, :4] = 1
    images[:, 2, :, 4:] = 1
    cams = torch.zeros(1, 3, 8, 8)
    cams[:, 1, :, :3] = 0.9
    cams[:, 1, :, 3] = 0.5
    cams[:, 1, :, 4] = 0.3
    cams[:, 2, :, 6:] = 0.95
    return images, cams


def test_worked_example_one_class():
    images, cams = two_tone_scene()
    labels = torch.tensor([[0., 1., 0.]])
    out = two_pass_labels(PixelAdaptiveRefinement(), images, cams, labels, 0.7, 0.25,
                                torch.tensor([[0, 8, 0, 8]]))
    row = [2, 2, 2, 255, 0, 0, 0, 0]
    assert out.tolist() == [[row] * 8]
    assert out.dtype == torch.long
    assert torch.equal(out, two_pass_labels(PixelAdaptiveRefinement(), images, cams, labels, 0.7, 0.25))


def test_worked_example_box():
    images, cams = two_tone_scene()
    out = two_pass_labels(PixelAdaptiveRefinement(), images, cams, torch.tensor([[0., 1., 0.]]), 0.7, 0.25,
                                torch.tensor([[2, 8, 0, 7]]))
    assert out.tolist() == [[[255] * 8] * 2 + [[2, 2, 2, 255, 0, 0, 0, 255]] * 6]


def test_worked_example_two_classes():
    images, cams = two_tone_scene()
    refiner = PixelAdaptiveRefinement(dilations=(1, ), num_iters=1)
    out = two_pass_labels(refiner, images, cams, torch.tensor([[0., 1., 1.]]), 0.7, 0.25)
    assert out.tolist() == [[[2, 2, 2] + [255] * 5] * 8]


class CountingRefiner(PixelAdaptiveRefinement):
    """Counts its calls and remembers the number of planes."""

    calls = ()

    def forward(self, images, masks):
        self.calls = (*self.calls, masks.shape[1])
        return super().forward(images, masks)


def test_batch_equals_singles_in_one_call():
    torch.manual_seed(0)
    images, cams = torch.rand(3, 3, 20, 14), torch.rand(3, 4, 20, 14)
    labels = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]])
    refiner = CountingRefiner(dilations=(1, 2), num_iters=2)
    out = two_pass_labels(refiner, images, cams, labels, 0.6, 0.3)
    assert refiner.calls == (6, ), 'two thresholds, background and at most two classes'
    for index in range(3):
        one = slice(index, index + 1)
        alone = two_pass_labels(refiner, images[one], cams[one], labels[one], 0.6, 0.3)
        assert torch.equal(out[one], alone)
    assert set(out[0].unique().tolist()) <= {0, 1, 4, 255}
    assert set(out[1].unique().tolist()) <= {0, 2, 255}
    assert (out[2] == 0).all(), 'without a class everything is background'


def naive_labels(images, cams, classes, high, low, refiner):
    """One image, one threshold at a time, no padding of classes."""
    def argmax_at(threshold):
        stack = torch.cat([torch.full_like(cams[:1], threshold), cams[classes]])
        stack = torch.nn.functional.interpolate(stack[None], scale_factor=0.5, mode='bilinear')
        small = torch.nn.functional.interpolate(images[None], scale_factor=0.5, mode='bilinear')
        refined = refiner(small, stack.softmax(1))
        large = torch.nn.functional.interpolate(refined, cams.shape[-2:], mode='bilinear')
        return torch.tensor([0] + [c + 1 for c in classes])[large[0].argmax(0)]

    at_high, at_low = argmax_at(high), argmax_at(low)
    out = at_high.clone()
    out[at_high == 0] = 255
    out[at_high + at_low == 0] = 0
    return out


def test_against_naive_reference():
    torch.manual_seed(1)
    images, cams = torch.rand(2, 3, 32, 24), torch.rand(2, 5, 8, 6)
    cams = torch.nn.functional.interpolate(cams, (32, 24), mode='bicubic').clamp(0, 1)
    labels = torch.tensor([[1, 0, 1, 0, 1], [0, 0, 0, 1, 0]])
    refiner = PixelAdaptiveRefinement()
    out = two_pass_labels(refiner, images, cams, labels, 0.6, 0.45)
    assert {0, 255} < set(out.unique().tolist()), 'the example exercises all three outcomes'
    assert torch.equal(out[0], naive_labels(images[0], cams[0], [0, 2, 4], 0.6, 0.45, refiner))
    assert torch.equal(out[1], naive_labels(images[1], cams[1], [3], 0.6, 0.45, refiner))


@pytest.mark.parametrize(('kwargs', 'message'), [
    (dict(high=0.2, low=0.3), 'high'),
    (dict(high=0.7, low=0.3, downscale=0), 'factor'),
    (dict(high=0.7, low=0.3, image_labels=torch.ones(1, 4)), 'image_labels'),
])
def test_bad_input(kwargs, message):
    images, cams = two_tone_scene()
    arguments = dict(images=images, cams=cams, image_labels=torch.ones(1, 3))
    arguments.update(kwargs)
    with pytest.raises(ValueError, match=message):
        two_pass_labels(PixelAdaptiveRefinement(), **arguments)


def test_quantize_colors_truncates():
    colors = torch.tensor([-0.1, 0.0, 18.99999, 19.0, 254.999, 255.0, 255.4])
    expected = torch.tensor([0, 0, 18, 19, 254, 255, 255]) / 255
    assert torch.equal(quantize_colors(colors), expected)


# AReAM's worked example, without refinement: six pixels of which both classes are said to be present.
SIX_CAMS = torch.tensor([[[[.95, .62, .30, .10, .80, .26]], [[.05, .65, .20, .12, .78, .02]]]])
SIX_LABELS = torch.tensor([[1., 1.]])


@pytest.mark.parametrize('make', [two_pass_labels, direct_labels])
def test_two_passes_merge_as_the_rule_for_the_maximum_says(make):
    images = torch.zeros(1, 3, 1, 6)
    out = make(None, images, SIX_CAMS, SIX_LABELS, .7, .25, downscale=1)
    assert out.tolist() == [[[1, 255, 255, 0, 1, 255]]]
    hard = make(None, images, SIX_CAMS, SIX_LABELS, .25, .25, downscale=1)
    assert hard.tolist() == [[[1, 2, 1, 0, 1, 1]]]


def test_direct_labels_undo_the_gain_of_the_refinement():
    images, cams = two_tone_scene()
    labels, boxes = torch.tensor([[0., 1., 0.]]), torch.tensor([[0, 8, 0, 7]])
    refiner = PixelAdaptiveRefinement(dilations=(1, 2), num_iters=3, keep_scale=True)
    best = refiner(images, cams)[:, 1] / 1.01**3
    expected = torch.full_like(best, 255, dtype=torch.long)
    expected[best > .7] = 2
    expected[best < .25] = 0
    expected[..., 7:] = 255
    found = direct_labels(refiner, images, cams, labels, .7, .25, boxes, downscale=1)
    assert torch.equal(found, expected)
    assert (direct_labels(refiner, images, cams * 0 + .69, labels, .7, .25) == 255).all(), '0.69 * 1.01^3 > 0.7'


def test_direct_labels_of_an_image_without_classes():
    images, cams = two_tone_scene()
    found = direct_labels(PixelAdaptiveRefinement(keep_scale=True), images, cams, torch.zeros(1, 3), .7, .25)
    assert not found.any()
