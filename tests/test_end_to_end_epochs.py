"""MCTformer-V2's VOC config with a tiny model, through the tools: epochs, several processes, killed and resumed."""

import pytest
import torch

from tests.helpers import (
    REPO,
    assert_close_weights,
    assert_same_state,
    read_scalars,
    run_tool,
    train_and_kill,
    write_voc_folder,
)

SMALL = f"""
_base_ = '{REPO}/configs/mctformer/mctformer-v2_deit-s_voc.py'
model = dict(
    backbone=dict(
        arch=dict(embed_dims=32, num_layers=3, num_heads=2, feedforward_channels=64, _delete_=True),
        drop_path_rate=DROP_PATH,
        init_cfg=None),
    cam_head=dict(in_channels=32))
train_dataloader = dict(batch_size=4, num_workers=1, persistent_workers=True)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_epochs=4, val_interval=4)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=1, max_keep_ckpts=-1), visualization=dict(num_images=1))
log_processor = dict(window_size=1)
"""


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_voc_folder(tmp_path_factory.mktemp('voc'), num_train=14, num_val=3, size=(60, 72))


def arguments(work_dir, data, drop_path, *extra):
    """Write the config, and give the arguments of a run in ``work_dir``."""
    config = work_dir.with_suffix('.py')
    config.write_text(SMALL.replace('DROP_PATH', str(drop_path)))
    return [config, '--work-dir', work_dir, '--data-root', data, '--classes', 'classes.txt', '--cfg-options',
            'train_dataloader.dataset.labels_from_masks=True',
            'train_dataloader.dataset.dataset.data_prefix.seg_map_path=SegmentationClass', *extra]


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory):
    """Train without interruption."""
    work_dir = tmp_path_factory.mktemp('runs') / 'whole'
    run_tool('tools/train.py', *arguments(work_dir, data, 0.2))
    return work_dir


def test_epochs_rates_and_validation(whole):
    lines = read_scalars(whole)
    training = [line for line in lines if 'loss' in line]
    assert [(line['epoch'], line['iter']) for line in training] == [(e, 3 * e - 3 + k) for e in (1, 2, 3, 4)
                                                                   for k in (1, 2, 3)], '14 // 4 batches an epoch'
    assert {line['epoch']: line['lr'] for line in training} == pytest.approx(
        {1: 1e-6, 2: 1e-6, 3: 1e-6 + (1e-3 - 1e-6) / 5, 4: 1e-6 + 2 * (1e-3 - 1e-6) / 5})
    assert {'loss_cls', 'loss_patch'} <= training[0].keys()
    validation, = (line for line in lines if 'cam/mIoU' in line)
    assert 0 < validation['cls/mAP'] <= 100
    assert sorted(path.name for path in whole.glob('*.pth')) == [f'epoch_{e}.pth' for e in (1, 2, 3, 4)]
    assert [path.name for path in whole.glob('vis_data/val_*.png')] == ['val_000012.png']


def test_a_killed_run_resumes_bit_for_bit(whole, data, tmp_path):
    work_dir = tmp_path / 'killed'
    args = arguments(work_dir, data, 0.2)
    train_and_kill(work_dir, *args)
    assert not (work_dir / 'epoch_4.pth').exists()
    run_tool('tools/train.py', args[0], '--resume', *args[1:])
    assert_same_state(whole / 'epoch_4.pth', work_dir / 'epoch_4.pth')
    logged = [{line['step']: line['loss'] for line in read_scalars(folder) if 'loss' in line}
              for folder in (whole, work_dir)]
    assert logged[0] == logged[1]


def test_two_processes_compute_what_one_does(data, tmp_path):
    one, two = tmp_path / 'one', tmp_path / 'two'
    run_tool('tools/train.py', *arguments(one, data, 0.))
    config, *rest = arguments(two, data, 0., 'train_dataloader.batch_size=2')
    run_tool('tools/dist_train.sh', config, 2, *rest)
    weights = [torch.load(folder / 'epoch_4.pth', weights_only=False)['state_dict'] for folder in (one, two)]
    start = torch.load(one / 'epoch_1.pth', weights_only=False)['state_dict']
    assert_close_weights(weights[1], weights[0])
    moved = max((value - start[name]).abs().max().item() for name, value in weights[0].items())
    assert moved > 1e-3, 'far more than the tolerance'
    metrics = [next(line for line in read_scalars(folder) if 'cam/mIoU' in line) for folder in (one, two)]
    assert metrics[0].keys() == metrics[1].keys()
    for name in ('cam/mIoU', 'cam/oracle_mIoU', 'cls/mAP'):
        assert metrics[0][name] == pytest.approx(metrics[1][name], abs=0.05), name
