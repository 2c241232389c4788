"""What networks see of an image, as the configs say it: padding, sizes of views, resizing of normalized images."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from PIL import Image
from torch.nn import functional as F

from mmwsss.apis import inference_cams, init_model
from tests.helpers import REPO

AREAM = ('aream_deit-s_voc', 'aream_deit-s_coco', 'aream-v1_deit-s_voc', 'aream_vit-micro_sample')
TINY = dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=16, _delete_=True)
MEAN = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
STD = torch.tensor([58.395, 57.12, 57.375])[:, None, None]


@pytest.fixture
def photo(tmp_path):
    """Write an image of 375 x 500 pixels."""
    pixels = np.random.RandomState(0).randint(0, 256, (375, 500, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'photo.png')
    return tmp_path / 'photo.png'


def normalized(photo):
    """Return an image (1, 3, H, W) as the networks see it."""
    pixels = torch.from_numpy(np.array(Image.open(photo)))
    return ((pixels.permute(2, 0, 1).float() - MEAN) / STD)[None]


def tiny_model(name, **cam_head):
    """Build a config's model with three narrow layers."""
    cfg = Config.fromfile(REPO / f'configs/{name}.py')
    backbone = dict(arch=dict(TINY), num_class_tokens=2, init_cfg=None)
    cfg.merge_from_dict(dict(model=dict(backbone=backbone, cam_head=dict(num_classes=2, in_channels=16, **cam_head))))
    torch.manual_seed(0)
    return init_model(cfg)


def watch_inputs(model):
    """Return a list that collects what the backbone is given."""
    seen = []
    model.backbone.patch_embed.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    return seen


@pytest.mark.parametrize('name', AREAM)
def test_aream_mirrors_first_and_pads_at_the_right_and_bottom(name, photo):
    model = tiny_model(f'aream/{name}', num_layers=3, attention_layers=3)
    patch = model.test_cfg['cams']['pad_divisor']
    assert model.backbone.patch_size == (patch, patch)
    image = normalized(photo)
    seen = watch_inputs(model)
    found = model.predict_cams(image)
    views = torch.cat(seen)
    height, width = (-(-side // patch) * patch for side in (375, 500))
    assert views.shape == (2, 3, height, width)
    torch.testing.assert_close(views[..., :375, :500], torch.cat([image, image.flip(-1)]))
    assert views[..., 375:, :].eq(0).all()
    assert views[..., 500:].eq(0).all()
    assert found['cams'].shape == (1, 2, 375, 500)
    assert found['cams'].amin(dim=(2, 3)).eq(0).all(), 'maps are normalized over the image alone'
    padded = F.pad(image, (0, width - 500, 0, height - 375))
    torch.testing.assert_close(found['logits'], model(padded), msg='the scores are of the padded image')
    torch.testing.assert_close(model.extract_cams(image)['logits'], found['logits'])
    np.testing.assert_allclose(inference_cams(model, photo, 'all'), found['cams'][0], atol=1e-4)


def test_weaktr_rounds_the_sides_of_views(tmp_path):
    path = tmp_path / 'photo.png'
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (333, 500, 3)).astype(np.uint8)).save(path)
    model = tiny_model('weaktr/weaktr_deit-s_voc', num_layers=3, num_heads=2, reduction=1)
    seen = watch_inputs(model)
    inference_cams(model, path, 'all')
    assert [tuple(views.shape[2:]) for views in seen] == [(333, 500), (266, 400), (400, 600)]
    smaller = Image.open(path).resize((400, 266), Image.BICUBIC)
    expected = ((torch.from_numpy(np.array(smaller)).permute(2, 0, 1).float() - MEAN) / STD)[None]
    torch.testing.assert_close(seen[1][:1], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize('name', ['toco_vit-b_voc', 'toco_vit-b_coco'])
def test_toco_resizes_the_normalized_image(name, photo):
    cfg = Config.fromfile(REPO / f'configs/toco/{name}.py')
    pipelines = [cfg.val_dataloader.dataset.pipeline] + ([cfg.tta_pipeline] if name.endswith('coco') else [])
    expected = F.interpolate(normalized(photo), size=(448, 448), mode='bilinear', align_corners=False)[0]
    for pipeline in pipelines:
        steps = [step for step in pipeline if step['type'] != 'LoadAnnotations']
        image = Compose(steps)(dict(img_path=str(photo)))['inputs'].flip(0)  # RGB
        torch.testing.assert_close((image - MEAN) / STD, expected, rtol=0, atol=1e-3)


def test_aream_v1_chooses_its_checkpoint_by_the_middle_of_images(photo):
    cfg = Config.fromfile(REPO / 'configs/aream/aream-v1_deit-s_voc.py')
    assert cfg.model.auxiliary.reactivation.normalize_cam is False
    assert cfg.default_hooks.checkpoint.save_best == 'cls/mAP'
    assert [metric.type for metric in cfg.val_evaluator] == ['ImageMAP']
    packed = Compose(cfg.val_dataloader.dataset.pipeline)(dict(img_path=str(photo)))
    small = np.array(Image.open(photo).resize((341, 256), Image.BICUBIC))[16:240, 58:282]
    assert np.array_equal(packed['inputs'].flip(0).permute(1, 2, 0), small)
    assert [step.type for step in cfg.test_dataloader.dataset.pipeline] == [
        'LoadImageFromFile', 'LoadAnnotations', 'mmwsss.PackWSSSInputs']
