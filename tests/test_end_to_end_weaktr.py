"""Both of WeakTr's stages with tiny models through the tools: seeds, two processes, killed and resumed."""

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

COMMON = """
train_dataloader = dict(batch_size=4, num_workers=1, persistent_workers=True)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=1, max_keep_ckpts=-1), visualization=dict(num_images=1))
log_processor = dict(window_size=1)
"""
STAGES = {
    'cam': f"""
_base_ = '{REPO}/configs/weaktr/weaktr-v3_deit-s_voc.py'
{COMMON}
model = dict(
    backbone=dict(
        arch=dict(embed_dims=32, num_layers=3, num_heads=2, feedforward_channels=64, _delete_=True),
        drop_path_rate=0., init_cfg=None),
    cam_head=dict(in_channels=32, num_layers=3, num_heads=2, reduction=2, feat_reduction=4),
    test_cfg=dict(cams=dict(scales=(1.0, ))))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_epochs=3, val_interval=3)
""",
    'retrain': f"""
_base_ = '{REPO}/configs/weaktr/weaktr-retrain_deit-s_voc.py'
{COMMON}
model = dict(
    data_preprocessor=dict(size=(48, 48)),
    backbone=dict(
        arch=dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64, _delete_=True),
        img_size=48, drop_path_rate=0.2, init_cfg=None),
    decode_head=dict(in_channels=32, channels=32, embed_dims=32, num_heads=2,
                     loss_decode=dict(patch_size=12, start_value=2.)),
    test_cfg=dict(crop_size=(48, 48), stride=(32, 32)))
train_pipeline = _base_.segmenter_train_pipeline
train_pipeline[3].update(scale=(400, 52))
train_pipeline[4].update(crop_size=(48, 48))
val_pipeline = _base_.segmenter_val_pipeline
val_pipeline[1].update(scale=(400, 52))
train_dataloader = dict(
    batch_size=4, num_workers=1, persistent_workers=True,
    dataset=dict(pipeline=train_pipeline, dataset=dict(data_prefix=dict(seg_map_path='SegmentationClass'))))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
custom_hooks = [dict(type='IterationSeedHook'), dict(type='KeptPrecisionHook', interval=1)]
optim_wrapper = dict(optimizer=dict(lr=1e-2))
train_cfg = dict(max_epochs=3, val_interval=3)
"""}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_voc_folder(tmp_path_factory.mktemp('voc'), num_train=14, num_val=2, size=(60, 72))


def arguments(stage, work_dir, data, *extra):
    """Write the config, and give the arguments of a run in ``work_dir``."""
    config = work_dir.with_suffix('.py')
    config.write_text(STAGES[stage])
    more = [f'train_dataloader.dataset.pseudo_label_dir={data}/SegmentationClass'] if stage == 'retrain' else [
        'train_dataloader.dataset.labels_from_masks=True',
        'train_dataloader.dataset.dataset.data_prefix.seg_map_path=SegmentationClass']
    return [config, '--work-dir', work_dir, '--data-root', data, '--classes', 'classes.txt', '--cfg-options', *more,
            *extra]


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory):
    """Train both stages without interruption."""
    root = tmp_path_factory.mktemp('runs')
    for stage in STAGES:
        run_tool('tools/train.py', *arguments(stage, root / stage, data))
    return root


def training_lines(work_dir):
    return [line for line in read_scalars(work_dir) if 'loss' in line]


def test_first_stage_logs_three_losses_and_makes_seeds(whole, data):
    lines = training_lines(whole / 'cam')
    assert len(lines) == 9, '14 // 4 batches an epoch'
    assert {'loss_cls', 'loss_coarse', 'loss_fine'} <= lines[0].keys()
    pytest.importorskip('pydensecrf', reason='seeds need the optional dense CRF')
    config, _, _, *rest = arguments('cam', whole / 'cam', data)
    out = whole / 'seeds'
    run_tool('tools/make_pseudo_labels.py', config, whole / 'cam/epoch_3.pth', '--out-dir', out, '--post', 'label-crf',
             '--crf-preset', 'weaktr_label_voc', '--split', 'train', *rest)
    assert len(list(out.glob('*.png'))) == 14


def test_second_stage_runs_whole_epochs_and_logs_what_is_kept(whole):
    lines = training_lines(whole / 'retrain')
    assert len(lines) == 12, 'the last batch of an epoch, two images, counts'
    assert all(0 <= line['clipped_pixels'] <= 1 for line in lines)
    assert all(line['precision_all'] == line['precision_kept'] == 100 for line in lines), 'labels are the truth here'
    # Logged is the first group's rate, the encoder's: a tenth.
    expected = [1e-3 * (.1 + .9 * (1 - step / 12)**.9) for step in range(12)]
    assert [line['lr'] for line in lines] == pytest.approx(expected)
    groups = torch.load(whole / 'retrain/epoch_3.pth', weights_only=False)['optimizer']['param_groups']
    assert {round(group['initial_lr'], 6) for group in groups} == {1e-3, 1e-2}
    assert {round(group['lr'] / group['initial_lr'], 9) for group in groups} == {round(expected[-1] / 1e-3, 9)}
    assert all(group['nesterov'] and group['weight_decay'] == 0 for group in groups)
    assert any('seg/mIoU' in line for line in read_scalars(whole / 'retrain'))


@pytest.mark.parametrize('stage', STAGES)
def test_a_killed_run_resumes_bit_for_bit(stage, whole, data, tmp_path):
    work_dir = tmp_path / 'killed'
    args = arguments(stage, work_dir, data)
    train_and_kill(work_dir, *args)
    assert not (work_dir / 'epoch_3.pth').exists()
    run_tool('tools/train.py', args[0], '--resume', *args[1:])
    assert_same_state(whole / stage / 'epoch_3.pth', work_dir / 'epoch_3.pth')


def test_two_processes_compute_what_one_does(whole, data, tmp_path):
    """The first stage only: thresholds of the second are each process's own."""
    two = tmp_path / 'two'
    config, *rest = arguments('cam', two, data, 'train_dataloader.batch_size=2')
    run_tool('tools/dist_train.sh', config, 2, *rest)
    weights = [torch.load(folder / 'epoch_3.pth', weights_only=False)['state_dict'] for folder in (whole / 'cam', two)]
    assert_close_weights(weights[1], weights[0])


def test_second_stage_on_two_processes(data, tmp_path):
    config, *rest = arguments('retrain', tmp_path / 'two', data, 'train_dataloader.batch_size=2')
    run_tool('tools/dist_train.sh', config, 2, *rest, 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1')
    lines = training_lines(tmp_path / 'two')
    assert len(lines) == 4
    assert all(line['loss'] > 0 and line['precision_all'] == 100 for line in lines)
