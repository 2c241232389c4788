"""A recipe of real stages: the results of a training and of a test arrive in the report."""

import io

import pytest
from rich.console import Console

from mmwsss.recipes import RecipeRunner
from mmwsss.utils.results import read_results

from ..helpers import tiny_runner_cfg, write_config, write_voc_folder


@pytest.mark.usefixtures('warm_tools')
def test_real_stages(tmp_path, make_context):
    cfg = tiny_runner_cfg(write_voc_folder(tmp_path / 'data'), tmp_path / 'unused')
    del cfg['work_dir']
    config = write_config(cfg, tmp_path / 'tiny.py')
    context = make_context([
        dict(name='fcn', kind='train', config=str(config), cfg_options={'optim_wrapper.optimizer.lr': 0.5}),
        dict(name='val', kind='test', checkpoint='fcn', report=['seg/*'])
    ])
    console = Console(file=io.StringIO(), width=400)
    trained, tested = (record['results'] for record in RecipeRunner(context, console).run())
    assert trained['seg/mIoU'] == tested['seg/mIoU']
    assert (tmp_path / 'out/fcn/iter_2.pth').is_file()
    assert '| seg/aAcc |' in (tmp_path / 'out/report.md').read_text()
    results = read_results(tmp_path / 'out/fcn/results.json')
    assert (results['tool'], results['config'], results['iter']) == ('train.py', 'tiny.py', 2)
    assert results['checkpoint'].endswith('out/fcn/iter_2.pth')
    assert results['best']['seg/mIoU']['value'] == results['metrics']['seg/mIoU']
