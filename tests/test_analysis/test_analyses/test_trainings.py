"""Figures of what trainings have left in their work directories."""

import json

import pytest

from mmwsss.utils.json_lines import add_line, drop_lines_after, read_lines
from tests.helpers import call_tool

SCRIPT = 'tools/analyze.py'


def write_training(folder):
    for index in (1, 2, 3):
        add_line(folder / 'kept_precision.jsonl', dict(
            iter=50 * index, epoch=index / 2, precision_all=60, precision_kept=60 + index, accuracy_all=80,
            accuracy_kept=80 + index, kept_share=90))
        add_line(folder / 'reactivation.jsonl', dict(
            iter=50 * index, epoch=index / 2, entropies=[-.3, -.2 / index, -.1], weights=[1, .3 * index, 0],
            counterparts=[0, 1 - .3 * index, 1], losses=[1.2, 1.1, 1], positive_pairs=40, negative_pairs=20,
            ignored_share=.2))
    log = folder / '20200101_000000/vis_data/scalars.json'
    add_line(log, {'loss': 1., 'step': 50})
    add_line(log, {'seg/mIoU': 41., 'step': 1})
    add_line(folder / '20200102_000000/vis_data/scalars.json', {'seg/mIoU': 43., 'step': 2})
    return folder


def analyze(tmp_path, name, *args):
    call_tool(SCRIPT, name, *args, '--out', tmp_path / 'out')
    assert (tmp_path / f'out/{name}.png').stat().st_size
    return json.loads((tmp_path / f'out/{name}.json').read_text())['runs']


def test_clipping_precision(tmp_path):
    clipped, upper = write_training(tmp_path / 'clipped'), tmp_path / 'upper'
    add_line(upper / '20200101_000000/vis_data/scalars.json', {'seg/mIoU': 55., 'step': 2})
    first, second = analyze(tmp_path, 'clipping-precision', clipped, upper)
    assert (first['label'], second['label']) == ('clipped', 'upper')
    data = first['data']
    assert (data['progress'], data['precision_kept']) == ([.5, 1, 1.5], [61, 62, 63])
    assert (data['val_progress'], data['val_miou']) == ([1, 2], [41, 43])
    assert second['data']['val_miou'] == [55]


def test_reactivation(tmp_path, capsys):
    run, = analyze(tmp_path, 'reactivation', write_training(tmp_path / 'aream'))
    assert run['data']['entropies'][1] == [-.3, -.1, -.1]
    assert run['data']['progress'] == [.5, 1, 1.5]
    assert 'range of entropies 0.2' in ' '.join(capsys.readouterr().out.split())


def test_doubtful_weights(tmp_path, capsys):
    for index in (1, 2):
        add_line(tmp_path / 'run/reactivation.jsonl', dict(
            iter=index, epoch=None, entropies=[-1e-7, 0.], weights=[1, 0], counterparts=[0, 1], losses=[1, 1]))
    analyze(tmp_path, 'reactivation', tmp_path / 'run')
    assert 'differ by less than 1e-5' in capsys.readouterr().out


@pytest.mark.parametrize(('name', 'complaint'), [
    ('reactivation', 'ReactivationTraceHook'), ('clipping-precision', 'KeptPrecisionHook')])
def test_what_is_missing(tmp_path, name, complaint):
    (tmp_path / 'run').mkdir()
    with pytest.raises(FileNotFoundError, match=complaint):
        call_tool(SCRIPT, name, tmp_path / 'run', '--out', tmp_path / 'out')


def test_half_a_line_at_the_end_is_left_out(tmp_path):
    path = tmp_path / 'lines.jsonl'
    add_line(path, dict(iter=1))
    add_line(path, dict(iter=2))
    path.write_text(path.read_text() + '{"iter": 3, "lo')
    assert read_lines(path) == [dict(iter=1), dict(iter=2)]
    drop_lines_after(path, 1)
    assert read_lines(path) == [dict(iter=1)]


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / 'lines.jsonl'
    path.write_text('{"iter": 1}\nnonsense\n{"iter": 2}\n')
    with pytest.raises(ValueError, match='line 2'):
        read_lines(path)
