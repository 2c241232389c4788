"""What a run checks at its start."""

import numpy as np
import pytest
from mmengine.runner import Runner
from PIL import Image

from mmwsss.engine.hooks import RunCheckHook, run_check
from mmwsss.utils.errors import UserError
from tests.helpers import tiny_runner_cfg, write_voc_folder


def make_runner(tmp_path, sizes=((40, 56), (40, 56), (40, 56)), batch_size=2, resize=False, test=False, **scheduler):
    """A run with three validation images of these sizes; with a schedule if its arguments are given."""
    data = write_voc_folder(tmp_path / 'data')
    for index, size in zip((6, 7, 8), sizes):
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(data / f'JPEGImages/img_{index:03d}.jpg')
        Image.fromarray(np.zeros(size, np.uint8)).save(data / f'SegmentationClass/img_{index:03d}.png')
    cfg = tiny_runner_cfg(data, tmp_path / 'work', max_iters=3)
    for split in ('val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader['batch_size'] = batch_size
        if resize:
            loader['dataset']['pipeline'].insert(1, dict(type='Resize', scale=(32, 32), keep_ratio=False))
    if scheduler:
        cfg['param_scheduler'] = [dict(type='WarmupPolyLR', **scheduler)]
    runner = Runner.from_cfg({**cfg, 'experiment_name': tmp_path.name})
    runner.register_hook(RunCheckHook())
    monkeyed = []
    runner.train_loop.run = lambda: monkeyed.append('trained')
    runner.test_loop.run = lambda: monkeyed.append('tested')
    (runner.test if test else runner.train)()
    return monkeyed


@pytest.mark.parametrize(('sizes', 'batch_size'), [
    (((40, 56), (56, 40), (40, 56)), 2), (((40, 56), (40, 57), (40, 56)), 2), (((40, 56), (40, 56), (41, 56)), 3)])
@pytest.mark.parametrize('test', [False, True])
def test_batches_of_several_sizes_are_refused_before_the_first_iteration(tmp_path, sizes, batch_size, test):
    split = 'test' if test else 'val'
    with pytest.raises(UserError, match=f'{split}_dataloader.batch_size is {batch_size}, .*img_006.jpg and .*img_00.*'
                                        f'Set {split}_dataloader.batch_size=1'):
        make_runner(tmp_path, sizes, batch_size, test=test)


@pytest.mark.parametrize(('sizes', 'options'), [
    (((40, 56), (56, 40), (40, 56)), dict(batch_size=1)), (((40, 56), (56, 40), (40, 56)), dict(resize=True)),
    (((40, 56), (40, 56), (56, 40)), dict()), (((40, 56), (40, 56), (40, 56)), dict(batch_size=3))])
def test_other_batches_are_allowed(tmp_path, sizes, options):
    assert make_runner(tmp_path, sizes, **options) == ['trained']


@pytest.mark.parametrize(('warmup', 'warned'), [(0, False), (2, False), (3, True), (1500, True)])
def test_warmups_beyond_the_end_are_reported(tmp_path, monkeypatch, warmup, warned):
    messages = []
    monkeypatch.setattr(run_check, 'print_log', lambda text, **_: messages.append(text))
    make_runner(tmp_path, warmup=warmup)
    expected = [f'WarmupPolyLR warms up for {warmup} iterations, but training ends after 3'] if warned else []
    assert [message.split(':')[0] for message in messages] == expected
