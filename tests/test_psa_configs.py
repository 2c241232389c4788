"""What PSA's configs say about training, labels and walk."""

import pytest
from mmengine.config import Config

from .helpers import REPO

VOC, COCO = 'psa_wr38_voc', 'psa_wr38_coco'


def load(name: str) -> Config:
    return Config.fromfile(REPO / f'configs/psa/{name}.py', format_python_code=False)


@pytest.mark.parametrize(('name', 'epochs', 'rate', 'beta', 'log2_steps', 'background', 'labels'), [
    (VOC, 5, .01, 8, 6, dict(threshold=.39), ('crf_1', 'crf_12')),
    (COCO, 5, .01, 8, 6, dict(threshold=.39), ('crf_1', 'crf_12')),
    ('psa_wr38_voc_transcam', 8, .01, 14, 7, dict(threshold=.42), None),
    ('psa_wr38_voc_original', 8, .1, 8, 8, dict(background_alpha=16, threshold=None), ('crf_4', 'crf_32'))])
def test_published_settings(name, epochs, rate, beta, log2_steps, background, labels):
    cfg = load(name)
    assert cfg.train_cfg.max_epochs == epochs
    assert (cfg.train_dataloader.batch_size, cfg.train_dataloader.drop_last) == (8, True)
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.momentum, optimizer.weight_decay) == ('SGD', rate, 5e-4, 5e-4)
    assert cfg.optim_wrapper.paramwise_cfg.custom_keys.affinity_head.lr_mult == 10
    assert cfg.model.radius == 5
    assert (cfg.model.test_cfg.beta, cfg.model.test_cfg.log2_steps) == (beta, log2_steps)
    assert {key: cfg.model.test_cfg[key] for key in background} == background
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    jitter = steps['mmpretrain.ColorJitter']
    assert [jitter[key] for key in ('brightness', 'contrast', 'saturation', 'hue')] == [.3, .3, .3, .1]
    assert (steps['RandomPlaceCrop'].crop_size, steps['RandomFlip'].prob) == (448, .5)
    assert ('LoadAffinityScores' in steps) == (labels is not None)
    if labels:
        assert (steps['LoadAffinityScores'].folders, steps['PoolAffinityLabels'].stride) == (labels, 8)


def test_coco_differs_from_voc_in_data_and_start_only():
    voc, coco = load(VOC), load(COCO)
    assert coco.model.backbone.init_cfg.checkpoint.endswith('.params')
    coco.model.backbone.init_cfg.checkpoint = voc.model.backbone.init_cfg.checkpoint
    for key in ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'psa_scores_pipeline'):
        assert coco[key] == voc[key], key
    assert coco.train_dataloader.batch_size == voc.train_dataloader.batch_size
    assert coco.train_dataloader.dataset.pipeline == voc.train_dataloader.dataset.pipeline
