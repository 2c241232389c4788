"""tools/run_claims.py: from photographs to the page of claims, with a small network."""

import json

import pytest

from ..helpers import REPO, load_tool, run_tool, write_voc_folder

CONFIG = '''
_base_ = '{repo}/configs/mctformer/mctformer-v2_dinov2-s_photos.py'
model = dict(
    backbone=dict(
        arch=dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=16, _delete_=True),
        img_size=28, init_cfg=None),
    cam_head=dict(in_channels=16, attention_layers=1))
train_dataloader = dict(batch_size=2, num_workers=0)
test_dataloader = dict(num_workers=0)
val_dataloader = None
val_cfg = None
val_evaluator = None
train_cfg = dict(max_epochs=1, val_interval=1)
'''
RECIPE = '''
_base_ = '{repo}/configs/_base_/recipes/claims.py'
title = 'A tiny network'
stages = [
    dict(name='net', kind='train', config='{folder}/net.py'),
    dict(name='maps', kind='cam-table', checkpoint='net', split='{{out}}/photos.txt',
         args=['--options', 'maps=attention,refined_attention']),
]
claims = [
    dict(text='Refined is better', source='Paper, Table 1', better=['maps', 'refined_attention', 'refined'],
         worse=['maps', 'attention']),
]
'''


@pytest.mark.usefixtures('warm_tools')
def test_photographs_become_a_page_and_the_command_resumes(tmp_path):
    data = write_voc_folder(tmp_path / 'data')
    recipes = tmp_path / 'claims'
    recipes.mkdir()
    (recipes / 'net.py').write_text(CONFIG.format(repo=REPO))
    (recipes / 'recipe_tiny.py').write_text(RECIPE.format(repo=REPO, folder=recipes))
    command = ['tools/run_claims.py', '--recipes', recipes, '--reports', tmp_path / 'reports', '--page',
               tmp_path / 'claims.md', '--out', tmp_path / 'out', '--gpus', 1]
    printed = run_tool(*command, '--data-root', data, '--seeds', '0,1', cwd=tmp_path).stdout
    assert 'maps-seed1: finished' in printed
    report = json.loads((tmp_path / 'reports/tiny.json').read_text())
    assert report['data'] == 'data'
    values = [report['stages']['maps'][seed]['results']['attention cam/mIoU'] for seed in '01']
    assert all(0 <= value <= 100 for value in values)
    page = (tmp_path / 'claims.md').read_text()
    assert '| Refined is better | Paper, Table 1 | refined ' in page
    assert 'At the fixed score: 1 not decided.' in page, 'two seeds decide nothing'

    again = run_tool(*command, '--data-root', data, '--seeds', '0,1', cwd=tmp_path).stdout
    assert 'net-seed0: done' in again
    assert 'finished in' not in again
    (tmp_path / 'claims.md').unlink()
    (tmp_path / 'reports/tiny.json').unlink()
    collected = run_tool(*command, '--data-root', data, '--seeds', '0,1,2', '--collect', cwd=tmp_path).stdout
    assert 'net-seed' not in collected
    assert json.loads((tmp_path / 'reports/tiny.json').read_text())['stages'] == report['stages']
    (tmp_path / 'claims.md').unlink()
    run_tool(*command, cwd=tmp_path)
    assert (tmp_path / 'claims.md').read_text() == page, 'without data, the page is written from the reports'
    refused = run_tool(*command, '--only', 'tinny', cwd=tmp_path, check=False)
    assert refused.returncode == 2
    assert "did you mean 'tiny'" in refused.stdout


def test_ids_are_drawn_in_the_order_of_the_list():
    draw_ids = load_tool('tools/dataset_converters/draw_list.py').draw_ids
    ids = [f'img_{k}' for k in range(20)]
    drawn = draw_ids(ids, 5, seed=0)
    assert len(drawn) == 5
    assert drawn == sorted(drawn, key=ids.index)
    assert drawn == draw_ids(ids, 5, seed=0) != draw_ids(ids, 5, seed=1)
    assert draw_ids(ids, 90, seed=0) == ids
    with pytest.raises(ValueError, match='--num must be at least 1'):
        draw_ids(ids, 0, seed=0)
