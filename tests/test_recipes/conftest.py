"""Recipes of stages that take no time, and a recipe of real stages that is not run.

pytest reads this file before it starts test processes, so the package is imported by the fixtures.
"""

import pytest

STAGES_OF_SAMPLE = [
    dict(name='data', kind='script', script='dataset_converters/make_sample.py', args=['{data_root}'],
         outputs=['{data_root}/image_labels.json']),
    dict(name='cam', kind='train', config='configs/mctformer/mctformer-v2_vit-micro_sample.py',
         cfg_options={'model.cam_head.affinity_layers': [0, 1]}),
    dict(name='val', kind='test', checkpoint='cam', args=['--tta']),
    dict(name='table', kind='cam-table', checkpoint='cam', cfg_options={'model.cam_head.fusion': 'mean'}),
    dict(name='labels', kind='pseudo-labels', checkpoint='cam', args=['--post', 'crf']),
    dict(name='quality', kind='evaluate-labels', labels='labels'),
    dict(name='fcn', kind='train', config='configs/mctformer/retrain_fcn_vit-micro_sample.py', labels='labels'),
]


@pytest.fixture
def sample_stages():
    """Give stages of every kind for the sample set."""
    return [dict(stage) for stage in STAGES_OF_SAMPLE]


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Give a recipe of stages that take no time."""
    from mmwsss.recipes import STAGES

    from .quick import QuickRecipe, QuickStage
    monkeypatch.setitem(STAGES.module_dict, 'quick', QuickStage)
    return QuickRecipe(tmp_path)


@pytest.fixture
def make_context(tmp_path, monkeypatch):
    """Give a function that turns stages into the context of a recipe, in an empty working folder."""
    from .quick import write_context
    monkeypatch.chdir(tmp_path)
    return lambda stages, **keys: write_context(tmp_path, stages, **keys)


@pytest.fixture
def context(make_context, sample_stages):
    """Give the context of these stages."""
    return make_context(sample_stages, data_root='data/sample')
