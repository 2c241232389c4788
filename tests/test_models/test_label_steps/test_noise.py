"""Labels on which the loss is as large as on wrong ones are dropped, in images that have two kinds of losses."""

import pytest
import torch

from mmwsss.models import LossNoiseFilter


def image_with_wrong_labels(wrong=.3, seed=0):
    """Return logits (1, 3, 40, 40) near the truth, labels of which a share of the foreground is wrong, and where."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.ones(40, 40, dtype=torch.long)
    truth[:, :10] = 0
    truth[:, 30:] = 255
    wrong = (torch.rand(40, 40, generator=generator) < wrong) & (truth == 1)
    logits = torch.randn(3, 40, 40, generator=generator) * .3
    logits[1] += 2.
    return logits[None], truth.masked_fill(wrong, 2)[None], wrong[None]


def test_wrong_labels_are_dropped():
    logits, labels, wrong = image_with_wrong_labels()
    found = LossNoiseFilter(min_pixels=100)(logits, labels)
    dropped = (found == 255) & (labels != 255)
    assert (dropped & wrong).sum() > .9 * wrong.sum()
    assert (dropped & ~wrong).sum() < .02 * (~wrong).sum()
    assert torch.equal(found.masked_fill(dropped, -1), labels.masked_fill(dropped, -1))
    assert torch.equal(LossNoiseFilter(min_pixels=100)(logits, labels), found), 'the same every time'


@pytest.mark.parametrize('settings', [dict(), dict(min_pixels=100, min_gap=5.), dict(min_pixels=100, min_loss=9.)])
def test_images_that_keep_their_labels(settings):
    logits, labels, _ = image_with_wrong_labels()
    assert torch.equal(LossNoiseFilter(**settings)(logits, labels), labels)


def test_images_do_not_depend_on_each_other():
    first, second = image_with_wrong_labels(), image_with_wrong_labels(.5, seed=1)
    nothing = torch.zeros_like(first[1])
    strainer = LossNoiseFilter(min_pixels=100)
    logits = torch.cat([first[0], second[0], first[0]])
    found = strainer(logits, torch.cat([first[1], second[1], nothing]))
    assert torch.equal(found[:1], strainer(*first[:2]))
    assert torch.equal(found[1:2], strainer(*second[:2]))
    assert torch.equal(found[2:], nothing)


def test_wrong_settings():
    with pytest.raises(ValueError, match='min_pixels must be 2 or more, got 1'):
        LossNoiseFilter(min_pixels=1)
    with pytest.raises(ValueError, match='confidence must be in'):
        LossNoiseFilter(confidence=1.5)
