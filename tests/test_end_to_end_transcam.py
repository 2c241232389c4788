"""TransCAM's VOC config with a narrow Conformer through the tools: two processes, resumed, the rows of its tables."""

import json

import pytest
import torch

from tests.helpers import REPO, assert_same_state, call_tool, read_scalars, run_tool, write_voc_folder

SMALL = f"""
_base_ = '{REPO}/configs/transcam/transcam_conformer-s_voc.py'
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(
        arch=dict(embed_dims=24, depths=6, num_heads=2, channel_ratio=0.25, _delete_=True), init_cfg=None),
    cam_head=dict(conv_channels=64, token_channels=24),
    test_cfg=dict(cams=dict(sizes=((32, 32), (64, 64)))))
train_pipeline = _base_.transcam_train_pipeline
train_pipeline[1].update(scale=(72, 72))
train_pipeline[4].update(crop_size=64)
train_dataloader = dict(batch_size=2, num_workers=1, dataset=dict(pipeline=train_pipeline))
train_cfg = dict(max_epochs=2, val_interval=2)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=1, max_keep_ckpts=-1), visualization=dict(num_images=1))
log_processor = dict(window_size=1)
"""
ROWS = ('conv_cams', 'clsattn_all', 'attnagg_all', 'transcam_all', 'transcam_shallow', 'transcam_deep')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """Train on two processes; gives the work folder and the arguments."""
    root = tmp_path_factory.mktemp('transcam')
    data = write_voc_folder(root / 'voc', num_train=10, num_val=3, size=(60, 72))
    (root / 'small.py').write_text(SMALL)
    args = [root / 'small.py', '--work-dir', root / 'run', '--data-root', data, '--classes', 'classes.txt',
            '--cfg-options', 'train_dataloader.dataset.labels_from_masks=True',
            'train_dataloader.dataset.dataset.data_prefix.seg_map_path=SegmentationClass']
    run_tool('tools/dist_train.sh', args[0], 2, *args[1:])
    return root / 'run', args


def test_two_processes_train_on_whole_batches(run):
    lines = [line for line in read_scalars(run[0]) if 'loss' in line]
    assert [(line['epoch'], line['iter']) for line in lines] == [(e, 2 * e - 2 + k) for e in (1, 2) for k in (1, 2)], (
        '10 // 4 batches an epoch')
    assert all(line['lr'] == 5e-5 for line in lines)
    assert all(line['loss'] == line['loss_cls'] > 0 for line in lines)
    weights = [torch.load(run[0] / f'epoch_{e}.pth', weights_only=False)['state_dict'] for e in (1, 2)]
    same = {name for name in weights[0] if torch.equal(*(state[name] for state in weights))}
    assert all(name.endswith('expand_block.conv_project.bias') for name in same), 'batch norm takes these out again'


def test_resumed_run_is_the_uninterrupted_one(run, tmp_path):
    work_dir, args = run
    args = [tmp_path / 'again' if arg == work_dir else arg for arg in args]
    run_tool('tools/dist_train.sh', args[0], 2, '--resume', work_dir / 'epoch_1.pth', *args[1:])
    assert_same_state(work_dir / 'epoch_2.pth', tmp_path / 'again/epoch_2.pth')


def test_rows_of_the_tables(run, tmp_path):
    work_dir, args = run
    call_tool('tools/analyze.py', 'cam-table', args[0], work_dir / 'epoch_2.pth', '--options', f'maps={",".join(ROWS)}',
              '--out', tmp_path / 'table', *args[3:])
    rows = json.loads((tmp_path / 'table/cam-table.json').read_text())['runs'][0]['data']['rows']
    assert [row['map'] for row in rows] == list(ROWS)
    assert len({row['oracle_mIoU'] for row in rows}) > 2
