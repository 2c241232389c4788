"""AReAM's VOC config with a tiny model, through the tools: killed and resumed, several processes, what is logged."""

import pytest

from tests.helpers import REPO, assert_same_state, read_scalars, run_tool, train_and_kill, write_voc_folder

SMALL = f"""
_base_ = '{REPO}/configs/aream/aream_deit-s_voc.py'
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(
        arch=dict(embed_dims=32, num_layers=3, num_heads=2, feedforward_channels=64, _delete_=True),
        img_size=64,
        drop_path_rate=0.,
        init_cfg=None),
    cam_head=dict(in_channels=32, num_layers=3),
    auxiliary=dict(reactivation=dict(begin=1)))
train_pipeline = _base_.aream_train_pipeline
train_pipeline[4].update(crop_size=64)
train_dataloader = dict(
    batch_size=BATCH, num_workers=1, persistent_workers=True, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_epochs=3, val_interval=3)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=1, max_keep_ckpts=-1), visualization=dict(num_images=1))
log_processor = dict(window_size=1)
"""
LOGGED = {'loss_affinity', 'counterpart_1', 'counterpart_3', 'positive_pairs', 'negative_pairs', 'ignored_share'}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_voc_folder(tmp_path_factory.mktemp('voc'), num_train=9, num_val=1, size=(60, 72))


def arguments(work_dir, data, batch=4):
    """Write the config, and give the arguments of a run in ``work_dir``."""
    config = work_dir.with_suffix('.py')
    config.write_text(SMALL.replace('BATCH', str(batch)))
    return [config, '--work-dir', work_dir, '--data-root', data, '--classes', 'classes.txt', '--cfg-options',
            'train_dataloader.dataset.labels_from_masks=True',
            'train_dataloader.dataset.dataset.data_prefix.seg_map_path=SegmentationClass']


def training(work_dir):
    """Give the lines of training iterations by their number; a later run's replace an earlier one's."""
    return {line['step']: line for line in read_scalars(work_dir) if 'loss' in line}


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory):
    """Train without interruption."""
    work_dir = tmp_path_factory.mktemp('runs') / 'whole'
    run_tool('tools/train.py', *arguments(work_dir, data))
    return work_dir


def test_what_is_logged(whole):
    lines = training(whole)
    assert list(lines) == [1, 2, 3, 4, 5, 6]
    for step, line in lines.items():
        assert {'loss_cls', 'loss_patch'} <= line.keys()
        assert (line.keys() >= LOGGED) == (step > 2), 'from the second epoch on'
        if step > 2:
            assert 0 <= line['ignored_share'] <= 1
            assert line['positive_pairs'] + line['negative_pairs'] <= 16 * 16
    validation, = (line for line in read_scalars(whole) if 'cam/mIoU' in line)
    assert 0 < validation['cls/mAP'] <= 100


def test_a_killed_run_resumes_bit_for_bit(whole, data, tmp_path):
    work_dir = tmp_path / 'killed'
    args = arguments(work_dir, data)
    train_and_kill(work_dir, *args)
    assert not (work_dir / 'epoch_3.pth').exists()
    run_tool('tools/train.py', args[0], '--resume', *args[1:])
    assert_same_state(whole / 'epoch_3.pth', work_dir / 'epoch_3.pth')
    expected, found = training(whole), training(work_dir)
    assert {step: line['loss'] for step, line in found.items()} == {
        step: line['loss'] for step, line in expected.items()}


def test_two_processes_compute_what_one_does(whole, data, tmp_path):
    args = arguments(tmp_path / 'two', data, batch=2)
    run_tool('tools/dist_train.sh', args[0], '2', *args[1:])
    expected, found = training(whole), training(tmp_path / 'two')
    assert list(found) == list(expected)
    for step, line in expected.items():
        for name in {'loss', *LOGGED} & line.keys():
            assert found[step][name] == pytest.approx(line[name], rel=2e-3, abs=1e-4), (step, name)
