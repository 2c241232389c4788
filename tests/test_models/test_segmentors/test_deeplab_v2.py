import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image
from torch.nn import functional as F

from mmwsss.models.segmentors.deeplab_v2 import shrunk_labels
from mmwsss.registry import MODELS
from tests.helpers import tiny_segmentor


def config(**kwargs):
    loss = dict(type='CrossEntropyLoss', avg_non_ignore=True)
    cfg = tiny_segmentor(loss_decode=loss, dropout_ratio=0.)
    cfg.update(type='DeepLabV2', train_cfg=dict(scales=(0.75, 0.5)))
    return ConfigDict({**cfg, **kwargs})


def labels(size=(65, 72)):
    rng = np.random.default_rng(0)
    # Quarters of one class with a strip that is ignored.
    label = np.kron(rng.integers(0, 3, (13, 9)), np.ones((5, 8), np.int64))
    label[30:34] = 255
    assert label.shape == size
    return torch.tensor(label)


def naive_loss(model, images, label):
    """Each scale by itself, as the paper words it."""
    height, width = images.shape[-2:]
    maps = []
    for scale in (1, 0.75, 0.5):
        small = F.interpolate(images, scale_factor=scale, mode='bilinear')
        assert small.shape[-2:] == (int(scale * height), int(scale * width))
        maps.append(model.decode_head(model.backbone(small)))
    enlarged = [F.interpolate(item, size=maps[0].shape[-2:], mode='bilinear') for item in maps]
    maps.append(torch.stack(enlarged).amax(dim=0))
    losses = []
    for item in maps:
        rows, cols = item.shape[-2:]
        picture = Image.fromarray(label.numpy().astype(np.uint8)).resize((cols, rows), Image.NEAREST)
        target = torch.tensor(np.asarray(picture).astype(np.int64))
        log_probs, valid = item[0].log_softmax(dim=0), target != 255
        chosen = log_probs.gather(0, target.where(valid, 0)[None])[0]
        losses.append(-chosen[valid].mean())
    return losses


def test_loss_against_a_loop_over_scales():
    torch.manual_seed(0)
    model = MODELS.build(config()).eval()
    images = torch.randn(1, 3, 65, 72)
    sample = SegDataSample(gt_sem_seg=PixelData(data=labels()[None]))
    losses = model.loss(images, [sample])
    found = {name: value for name, value in losses.items() if 'loss' in name}
    assert list(found) == [f'decode_{scale}.loss_ce' for scale in (1, 0.75, 0.5, 'max')]
    expected = naive_loss(model, images, labels())
    torch.testing.assert_close(torch.stack(list(found.values())), torch.stack(expected))
    total, _ = model.parse_losses(losses)
    torch.testing.assert_close(total, sum(expected))


@pytest.mark.parametrize('size', [(9, 9), (7, 7), (33, 36), (65, 72)])
def test_labels_shrink_as_pillow_shrinks_them(size):
    sample, = shrunk_labels(labels()[None, None], size)
    picture = Image.fromarray(labels().numpy().astype(np.uint8)).resize(size[::-1], Image.NEAREST)
    np.testing.assert_array_equal(sample.gt_sem_seg.data[0].numpy(), np.asarray(picture))


def test_predicts_at_one_scale():
    torch.manual_seed(0)
    model = MODELS.build(config()).eval()
    images = torch.randn(1, 3, 40, 48)
    expected = F.interpolate(model.decode_head(model.backbone(images)), size=(40, 48), mode='bilinear')
    torch.testing.assert_close(model.predict(images)[0].seg_logits.data, expected[0])


def test_predicts_the_maximum_of_its_scales():
    """The maximum at the resolution of the network, which is then enlarged to the image."""
    torch.manual_seed(0)
    model = MODELS.build(config(test_cfg=dict(mode='whole', scales=(0.75, 0.5)))).eval()
    images = torch.randn(1, 3, 41, 47)
    views = [images, *(F.interpolate(images, scale_factor=scale, mode='bilinear') for scale in (0.75, 0.5))]
    assert [tuple(view.shape[-2:]) for view in views] == [(41, 47), (30, 35), (20, 23)]
    logits = [model.decode_head(model.backbone(view)) for view in views]
    logits = [F.interpolate(maps, size=logits[0].shape[-2:], mode='bilinear') for maps in logits]
    expected = torch.stack(logits).amax(dim=0)
    torch.testing.assert_close(model(images, mode='tensor'), expected)
    found = model.predict(images)[0].seg_logits.data
    torch.testing.assert_close(found, F.interpolate(expected, size=(41, 47), mode='bilinear')[0])


def test_views_are_taken_at_the_exact_scale():
    """Three quarters of 321 pixels are 240, and their step is 4/3, not 321/240."""
    seen = []
    model = MODELS.build(config(test_cfg=dict(mode='whole', scales=(0.75, )))).eval()
    model.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    ramp = torch.arange(321.).expand(1, 3, 321, 321)
    model(ramp, mode='tensor')
    assert seen[1].shape[-2:] == (240, 240)
    torch.testing.assert_close(seen[1][0, 0, 0], (torch.arange(240.) + .5) / .75 - .5, atol=1e-3, rtol=0)


def test_bad_arguments():
    with pytest.raises(ValueError, match='train_cfg of DeepLabV2 lacks scales'):
        MODELS.build(config(train_cfg={}))
    with pytest.raises(ValueError, match='no auxiliary_head'):
        MODELS.build(config(auxiliary_head=config().decode_head))
