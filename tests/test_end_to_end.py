"""ToCo's sample config, made small, through the tools: several processes, a killed and resumed run, evaluation."""

import pytest
import torch

from tests.helpers import REPO, assert_same_state, read_scalars, run_tool, train_and_kill, write_voc_folder

CONFIG = REPO / 'configs/toco/toco_vit-micro_sample.py'
SMALL = [
    'model.backbone.init_cfg=None', 'model.backbone.arch.embed_dims=32', 'model.backbone.arch.num_layers=3',
    'model.backbone.arch.feedforward_channels=64', 'model.cam_head.in_channels=32', 'model.decode_head.in_channels=32',
    'model.decode_head.channels=16', 'model.projector.in_channels=32', 'model.projector.hidden_channels=32',
    'model.projector.bottleneck_channels=16', 'model.projector.out_channels=24', 'crop_size=64',
    'model.data_preprocessor.size=(64,64)', 'train_dataloader.dataset.pipeline.1.crop_size=64',
    'model.train_cfg.local_crop_size=16', 'default_hooks.logger.interval=1', 'log_processor.window_size=1'
]


def options(work_dir, data, *extra):
    return ['--work-dir', work_dir, '--data-root', data, '--classes', 'classes.txt', '--cfg-options', *SMALL,
            'train_dataloader.dataset.labels_from_masks=True',
            'train_dataloader.dataset.dataset.data_prefix.seg_map_path=SegmentationClass', *extra]


def scalars(work_dir):
    lines = read_scalars(work_dir)
    return [line for line in lines if 'loss' in line], [line for line in lines if 'seg/mIoU' in line]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_voc_folder(tmp_path_factory.mktemp('voc'), num_train=12, num_val=3, size=(60, 72))


def test_two_processes_see_and_compute_what_one_does(data, tmp_path):
    extra = ['train_cfg.max_iters=4', 'train_cfg.val_interval=4', 'default_hooks.checkpoint.interval=4',
             'model.train_cfg.phases.1.begin=1', 'model.train_cfg.phases.2.begin=2', 'param_scheduler.0.warmup=0',
             'train_dataloader.num_workers=0']
    run_tool('tools/train.py', CONFIG, *options(tmp_path / 'one', data, 'train_dataloader.batch_size=4', *extra))
    run_tool('tools/dist_train.sh', CONFIG, 2,
             *options(tmp_path / 'two', data, 'train_dataloader.batch_size=2', *extra))
    (one, one_val), (two, two_val) = scalars(tmp_path / 'one'), scalars(tmp_path / 'two')
    assert len(one) == len(two) == 4
    terms = [key for key in one[3] if key.startswith(('loss', 'raw'))]
    assert len(terms) == 11
    for a, b in zip(one, two):
        for key in terms if a['step'] > 2 else ('loss', 'loss_cls', 'loss_aux', 'lr'):
            assert a[key] == pytest.approx(b[key], rel=2e-4), (a['step'], key)
    assert one[0]['loss'] != one[3]['loss']
    assert one_val[0].keys() == two_val[0].keys()
    for key in ('seg/mIoU', 'cam/mIoU', 'cam/aux_mIoU', 'cam/oracle_mIoU'):
        assert one_val[0][key] == pytest.approx(two_val[0][key], abs=0.05), key
    assert sorted(path.name for path in (tmp_path / 'two').glob('*.pth')) == ['iter_4.pth']


def test_a_killed_run_resumes_bit_for_bit(data, tmp_path):
    extra = ['train_cfg.max_iters=8', 'train_cfg.val_interval=8', 'default_hooks.checkpoint.interval=3',
             'train_dataloader.batch_size=2', 'train_dataloader.num_workers=1', 'param_scheduler.0.warmup=3',
             'model.train_cfg.phases.1.begin=2', 'model.train_cfg.phases.2.begin=3',
             'model.backbone.drop_path_rate=0.2']
    run_tool('tools/train.py', CONFIG, *options(tmp_path / 'whole', data, *extra))

    work_dir = tmp_path / 'killed'
    train_and_kill(work_dir, CONFIG, *options(work_dir, data, *extra))
    assert not (work_dir / 'iter_8.pth').exists()
    run_tool('tools/train.py', CONFIG, '--resume', *options(work_dir, data, *extra))

    assert_same_state(tmp_path / 'whole/iter_8.pth', work_dir / 'iter_8.pth')
    names = torch.load(work_dir / 'iter_8.pth', weights_only=False)['state_dict']
    assert any(name.startswith('teacher_projector') for name in names)
    first = {line['step']: line['loss'] for line in scalars(tmp_path / 'whole')[0]}
    again = {line['step']: line['loss'] for line in scalars(work_dir)[0]}
    assert first == again


def test_evaluation_and_pseudo_labels(data, tmp_path):
    run_tool('tools/train.py', CONFIG, *options(tmp_path, data, 'train_cfg.max_iters=1', 'train_cfg.val_interval=1',
                                                'default_hooks.checkpoint.interval=1'))
    ours = options(tmp_path / 'test', data)
    checkpoint = tmp_path / 'iter_1.pth'
    plain = run_tool('tools/test.py', CONFIG, checkpoint, '--out', tmp_path / 'labels', *ours).stdout
    assert 'seg/mIoU' in plain
    assert len(list((tmp_path / 'labels').glob('*.png'))) == 3
    pytest.importorskip('pydensecrf', reason='the published protocol ends with a dense CRF')
    tta = run_tool('tools/test.py', CONFIG, checkpoint, '--tta', *ours).stdout
    assert 'seg/mIoU' in tta
