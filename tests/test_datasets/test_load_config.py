"""Configs as the command lines of the tools describe them."""

import argparse

import pytest

from mmwsss.datasets import config as config_module
from mmwsss.datasets.config import load_config, replace_pipelines
from mmwsss.utils.cli import add_config_arguments, add_run_arguments

from ..helpers import write_config


def parse(*argv, run=True):
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    if run:
        add_run_arguments(parser)
    return parser.parse_args([str(arg) for arg in argv])


@pytest.fixture
def config(tmp_path):
    return write_config(dict(lr=0.1, optimizer=dict(type='SGD'), steps=[1, 2]), tmp_path / 'mine.py')


def test_options_override_the_config(config):
    cfg = load_config(parse(config, '--cfg-options', 'lr=1', 'optimizer.type=Adam', 'steps=[3,4]'))
    assert (cfg.lr, cfg.optimizer.type, cfg.steps) == (1, 'Adam', [3, 4])
    assert cfg.launcher == 'none'


def test_options_of_data_that_are_switched_off_are_left_out(tmp_path, monkeypatch):
    messages = []
    monkeypatch.setattr(config_module, 'print_log', lambda text, **_: messages.append(text))
    config = write_config(dict(val_dataloader=None, test_dataloader=dict(num_workers=2)), tmp_path / 'mine.py')
    cfg = load_config(parse(config, '--cfg-options', 'val_dataloader.num_workers=0', 'test_dataloader.num_workers=0'))
    assert (cfg.val_dataloader, cfg.test_dataloader) == (None, dict(num_workers=0))
    assert messages == ['val_dataloader.num_workers has no effect: there is no val_dataloader']


def test_work_dir_priority(config, tmp_path):
    assert load_config(parse(config)).work_dir == 'work_dirs/mine'
    assert load_config(parse(config, '--work-dir', 'there')).work_dir == 'there'
    own = write_config(dict(work_dir='own'), tmp_path / 'other.py')
    assert load_config(parse(own)).work_dir == 'own'
    assert load_config(parse(own, '--work-dir', 'there')).work_dir == 'there'


def test_tools_that_run_nothing_need_no_work_dir(config):
    cfg = load_config(parse(config, run=False))
    assert 'launcher' not in cfg
    assert 'work_dir' not in cfg


def test_local_rank_in_both_spellings(config, monkeypatch):
    for flag in ('--local_rank', '--local-rank'):
        monkeypatch.delenv('LOCAL_RANK', raising=False)
        load_config(parse(config, flag, 3))
        import os
        assert os.environ['LOCAL_RANK'] == '3'


def test_data_flags_reach_the_config(config, monkeypatch):
    calls = []

    def override(cfg, data_root, classes, label_file, *others):
        calls.append((data_root, classes, label_file))
        cfg.lr = 5

    monkeypatch.setattr(config_module, 'override_data', override)
    cfg = load_config(parse(config, '--data-root', 'd', '--classes', 'c.txt', '--label-file', 'l.json'))
    assert calls == [('d', 'c.txt', 'l.json')]
    assert cfg.lr == 5
    cfg = load_config(parse(config, '--label-file', 'l.json', '--cfg-options', 'lr=6'))
    assert cfg.lr == 6, 'options are applied last'
    load_config(parse(config))
    assert len(calls) == 2


def test_pipelines_are_replaced_inside_wrappers():
    plain = dict(type='A', pipeline=[1])
    replace_pipelines(plain, [2])
    assert plain == dict(type='A', pipeline=[2])

    nested = dict(type='W', dataset=dict(type='C', datasets=[dict(pipeline=[1]), dict(pipeline=[1])]))
    replace_pipelines(nested, [2])
    assert [part['pipeline'] for part in nested['dataset']['datasets']] == [[2], [2]]

    own = dict(type='W', pipeline=[1], dataset=dict(type='A', pipeline=[0]))
    replace_pipelines(own, [2])
    assert own == dict(type='W', pipeline=[2], dataset=dict(type='A', pipeline=[0]))

    with pytest.raises(ValueError, match='dataset A has no pipeline'):
        replace_pipelines(dict(type='A'), [2])
