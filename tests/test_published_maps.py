"""From an image file to maps at its own size: the numbers of the methods' authors' own code, on the same weights."""

from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from mmwsss.apis import inference_cams, init_model
from mmwsss.checkpoints import OFFICIAL_LAYOUTS, find_weights, map_keys
from mmwsss.datasets import inference_pipeline
from mmwsss.registry import MODELS
from tests.helpers import REPO
from tests.published_maps import DEPTH, HEADS, MLP, NUM_CLASSES, WIDTH, official_weights

FOLDER = Path(__file__).parent / 'fixtures' / 'published_maps'
PHOTO = FOLDER / 'photo.jpg'
VIT = dict(embed_dims=WIDTH, num_layers=DEPTH, num_heads=HEADS, feedforward_channels=MLP, _delete_=True)
CLASS_TOKENS = dict(backbone=dict(arch=VIT, num_class_tokens=NUM_CLASSES))
HEAD = dict(num_classes=NUM_CLASSES, in_channels=WIDTH)
LAYERS = dict(num_layers=DEPTH, num_heads=HEADS)
WINDOW = 112
CAMS = {
    'mctformer-v1': ('mctformer/mctformer-v1_deit-s_voc', dict(CLASS_TOKENS, cam_head=HEAD)),
    'mctformer-v2': ('mctformer/mctformer-v2_deit-s_voc', dict(CLASS_TOKENS, cam_head=HEAD)),
    'mctformer-plus': ('mctformer/mctformer-plus_deit-s_voc', dict(
        backbone=dict(arch=VIT, num_class_tokens=NUM_CLASSES, img_size=224),
        cam_head=dict(HEAD, attention_layers=DEPTH))),
    'weaktr': ('weaktr/weaktr_deit-s_voc', dict(CLASS_TOKENS, cam_head=dict(HEAD, **LAYERS))),
    'weaktr-v3': ('weaktr/weaktr-v3_deit-s_voc', dict(CLASS_TOKENS, cam_head=dict(HEAD, **LAYERS))),
    'weaktr-v3-coco': ('weaktr/weaktr-v3_deit-s_coco', dict(CLASS_TOKENS, cam_head=dict(HEAD, **LAYERS))),
    'aream': ('aream/aream-v1_deit-s_voc',
              dict(CLASS_TOKENS, cam_head=dict(HEAD, num_layers=DEPTH, attention_layers=DEPTH))),
    'aream-conformer': ('aream/aream_conformer-s_voc', dict(
        backbone=dict(arch=dict(embed_dims=WIDTH, depths=6, num_heads=HEADS, channel_ratio=1, _delete_=True)),
        cam_head=dict(num_classes=NUM_CLASSES, conv_channels=256, token_channels=WIDTH))),
    'transcam': ('transcam/transcam_conformer-s_voc', dict(
        backbone=dict(arch=dict(embed_dims=WIDTH, depths=6, num_heads=HEADS, channel_ratio=1, _delete_=True)),
        cam_head=dict(conv_channels=256, token_channels=WIDTH))),
}
TOCO = dict(
    backbone=dict(arch=VIT),
    cam_head=HEAD,
    decode_head=dict(num_classes=NUM_CLASSES + 1, in_channels=WIDTH),
    projector=dict(in_channels=WIDTH, hidden_channels=8, bottleneck_channels=8, out_channels=8))
SEGMENTER = dict(
    backbone=dict(arch=VIT, img_size=WINDOW),
    decode_head=dict(in_channels=WIDTH, channels=WIDTH, embed_dims=WIDTH, num_heads=HEADS, mlp_ratio=MLP // WIDTH,
                     num_classes=NUM_CLASSES + 1),
    test_cfg=dict(crop_size=(WINDOW, WINDOW), stride=(80, 80)))
WIDE_RESNET = dict(
    backbone=dict(base_channels=4), decode_head=dict(in_channels=256, channels=32, num_classes=NUM_CLASSES + 1))
METHODS = {'weaktr-v3-coco': 'weaktr-v3'}  # networks that share the layout of another
TTA = {
    'toco, VOC': ('toco/toco_vit-b_voc', TOCO, 'toco', 'toco', 'tta_voc'),
    'toco, COCO': ('toco/toco_vit-b_coco', TOCO, 'toco', 'toco', 'tta_coco'),
    'weaktr-seg': ('weaktr/weaktr-retrain_deit-s_voc', SEGMENTER, 'weaktr-seg', 'weaktr-seg', 'tta'),
    'deeplabv1': ('deeplab/deeplabv1_wr38_voc', WIDE_RESNET, 'deeplab-resnet38', 'deeplabv1', 'tta'),
}


def small_config(name: str, model: dict) -> Config:
    cfg = Config.fromfile(REPO / f'configs/{name}.py')
    cfg.merge_from_dict(Config(dict(model=model)).to_dict())
    return cfg


def our_weights(network: str) -> dict[str, Tensor]:
    layout = OFFICIAL_LAYOUTS[METHODS.get(network, network)]
    return map_keys(find_weights(official_weights(network), layout), layout).state_dict


def small_model(name: str, model: dict, network: str) -> nn.Module:
    built = init_model(small_config(name, model))
    built.load_state_dict(our_weights(network))
    return built


def without_masks(steps: Any) -> Any:
    """Drop the loading of masks from a pipeline, and from alternatives inside of it."""
    if isinstance(steps, dict):
        return {key: without_masks(value) if key == 'transforms' else value for key, value in steps.items()}
    kept = [without_masks(step) for step in steps if not (isinstance(step, dict) and step['type'] == 'LoadAnnotations')]
    return [step for step in kept if step != []]


def shrink(steps: Any) -> Any:
    """Scale the images of the Segmenter's pipelines to a quarter, as the network is small."""
    if isinstance(steps, (list, tuple)):
        return [shrink(step) for step in steps]
    if not isinstance(steps, dict):
        return steps
    return {key: tuple(side // 4 for side in value) if key == 'scale' else shrink(value)
            for key, value in steps.items()}


def run(model: nn.Module, pipeline: list) -> Any:
    data = Compose(without_masks(pipeline))(dict(img_path=str(PHOTO), seg_fields=[], reduce_zero_label=False))
    with torch.no_grad():
        return model.test_step(pseudo_collate([data]))[0]


def run_tta(cfg: Config, weights: dict[str, Tensor]) -> Tensor:
    """Return the fused probabilities (K, H, W) before the label steps."""
    pipeline = shrink(cfg.tta_pipeline) if cfg.model.type == 'Segmenter' else cfg.tta_pipeline
    init_default_scope(cfg.default_scope)
    model = MODELS.build(dict(cfg.tta_model, module=cfg.model, steps=None)).eval()
    model.module.load_state_dict(weights)
    scores = run(model, pipeline).seg_logits.data
    return scores if model.probabilities or not model.makes_views else scores.softmax(dim=0)


def assert_equal_maps(found: np.ndarray, found_labels: np.ndarray, network: str, name: str) -> None:
    with np.load(FOLDER / f'{network}.npz') as file:
        # TransCAM's code leaves values below 0, which are background at every threshold, and so is 0.
        expected, labels = file[name].astype(np.float32).clip(0), file[f'{name}_labels']
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 5e-3
    assert (found_labels != labels).mean() < 1e-3


def labels_of_cams(cams: np.ndarray, threshold: float) -> np.ndarray:
    return np.where(cams.max(axis=0) > threshold, cams.argmax(axis=0) + 1, 0)


@pytest.mark.parametrize('network', CAMS)
def test_cams_of_a_file(network):
    model = small_model(*CAMS[network], network)
    cams = inference_cams(model, PHOTO, 'all')
    cams = cams[[0, 2, 13]] if network == 'transcam' else cams
    assert_equal_maps(cams, labels_of_cams(cams, model.test_cfg['threshold']), network, 'cams')


def test_toco_segments_and_validates_a_file():
    model = small_model('toco/toco_vit-b_voc', TOCO, 'toco')
    result = run(model, inference_pipeline(model.cfg))
    for name in ('cams', 'aux_cams'):
        cams = result.get(name).data.numpy()
        assert_equal_maps(cams, labels_of_cams(cams, model.test_cfg['threshold']), 'toco', name)
    assert_equal_maps(result.seg_logits.data.softmax(dim=0).numpy(), result.pred_sem_seg.data[0].numpy(), 'toco', 'seg')
    for image in (PHOTO, mmcv.imread(PHOTO)):
        cams = inference_cams(model, image, 'all')
        assert_equal_maps(cams, labels_of_cams(cams, model.test_cfg['threshold']), 'toco', 'cams')


def test_segmenter_segments_a_file():
    model = small_model('weaktr/weaktr-retrain_deit-s_voc', SEGMENTER, 'weaktr-seg')
    result = run(model, shrink(inference_pipeline(model.cfg)))
    assert_equal_maps(result.seg_logits.data.softmax(dim=0).numpy(), result.pred_sem_seg.data[0].numpy(), 'weaktr-seg',
                      'seg')


@pytest.mark.parametrize('case', TTA)
def test_segmentation_of_several_scales(case):
    name, model, network, file, key = TTA[case]
    found = run_tta(small_config(name, model), our_weights(network)).numpy()
    assert_equal_maps(found, found.argmax(axis=0), file, key)
