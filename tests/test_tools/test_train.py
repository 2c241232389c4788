"""tools/train.py and tools/dist_train.sh on a tiny run."""

import json

import pytest
import torch
from mmengine.config import Config

from mmwsss.registry import MODELS

from ..helpers import (
    assert_quiet,
    call_tool,
    load_tool,
    run_tool,
    tiny_runner_cfg,
    tiny_segmentor,
    write_config,
    write_voc_folder,
)


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    """A config of two iterations and one validation on six small images."""
    root = tmp_path_factory.mktemp('train')
    cfg = tiny_runner_cfg(write_voc_folder(root / 'data'), root / 'unused')
    del cfg['work_dir']
    return write_config(dict(cfg, log_level='INFO'), root / 'tiny.py')


def scalars(work_dir):
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture(scope='module')
def run(config, tmp_path_factory):
    """A folder in which train.py ran with its default work dir."""
    cwd = tmp_path_factory.mktemp('cwd')
    result = run_tool('tools/train.py', config, '--cfg-options', 'optim_wrapper.optimizer.lr=0.5', cwd=cwd)
    (cwd / 'output.txt').write_text(result.stdout)
    return cwd


def test_run_leaves_weights_and_numbers(run):
    work_dir = run / 'work_dirs/tiny'
    assert (work_dir / 'iter_2.pth').is_file()
    lines = scalars(work_dir)
    assert lines[0]['lr'] == 0.5
    assert 0 <= lines[-1]['seg/mIoU'] <= 100
    results = json.loads((work_dir / 'results.json').read_text())
    assert (results['tool'], results['iter']) == ('train.py', 2)
    assert results['metrics']['seg/mIoU'] == pytest.approx(lines[-1]['seg/mIoU'], abs=0.01)


def test_the_console_is_short_and_the_log_is_whole(config, run):
    output = (run / 'output.txt').read_text()
    log, = (run / 'work_dirs/tiny').glob('*/*.log')
    assert_quiet(output, 12)
    assert output.splitlines()[0] == f'training {config}'
    for shown in ('work_dirs/tiny', f'{config.parent}/data', ', 1 process', log.name, 'iteration 2: seg/aAcc',
                  'training: 2/2 in 0:', 'work_dirs/tiny/iter_2.pth'):
        assert shown in output, shown
    for logged in ('System environment', 'Config:', 'Hooks will be executed', 'Iter(train) [2/2]', '| background |'):
        assert logged in log.read_text(), logged


def test_auto_resume_continues_and_verbose_shows_the_log(config, run):
    out = run_tool('tools/train.py', config, '--resume', '--verbose', '--cfg-options', 'train_cfg.max_iters=3',
                   'optim_wrapper.optimizer.lr=0.5', cwd=run).stdout
    for shown in ('resumed epoch: 0, iter: 2', 'Config:', 'Hooks will be executed', 'Iter(train) [3/3]'):
        assert shown in out, shown
    assert 'training: 3/3' not in out
    assert 'Could not import OneDL' not in out
    assert [line['step'] for line in scalars(run / 'work_dirs/tiny') if 'loss' in line] == [1, 2, 3]


def test_another_run_s_checkpoints_are_not_written_over(config, run):
    before = (run / 'work_dirs/tiny/iter_2.pth').read_bytes()
    result = run_tool('tools/train.py', config, cwd=run, check=False)
    assert result.returncode == 2
    assert result.stdout.strip().splitlines()[-1].startswith(
        "train.py: work_dirs/tiny holds checkpoints of another run: 'iter_2.pth'")
    assert all(way in result.stdout for way in ('--resume', '--work-dir', '--overwrite'))
    assert (run / 'work_dirs/tiny/iter_2.pth').read_bytes() == before


def test_two_processes_without_gpu(config, tmp_path):
    if torch.cuda.is_available():
        pytest.skip('with GPUs, processes run on them')
    output = run_tool('tools/dist_train.sh', config, 2, '--work-dir', tmp_path / 'dist', cwd=tmp_path).stdout
    assert_quiet(output, 12)
    assert [output.count(once) for once in ('training ', 'cpu, 2 processes', 'seg/mIoU')] == [1, 1, 1]
    lines = scalars(tmp_path / 'dist')
    assert [line['step'] for line in lines if 'loss' in line] == [1, 2]
    assert sum('seg/mIoU' in line for line in lines) == 1, 'one process writes'
    assert [path.name for path in (tmp_path / 'dist').glob('*.pth')] == ['iter_2.pth']
    cfg = Config.fromfile(tmp_path / 'dist/tiny.py')
    assert cfg.env_cfg.dist_cfg.backend == 'gloo'


@pytest.mark.parametrize('argv', [[], ['config.py'], ['config.py', 'two'], ['config.py', '0']])
def test_dist_train_says_how_it_is_called(argv):
    result = run_tool('tools/dist_train.sh', *argv, check=False)
    assert result.returncode == 2
    assert 'usage:' in result.stdout or 'must be a positive number' in result.stdout


@pytest.fixture(scope='module')
def train():
    return load_tool('tools/train.py')


def test_resume_without_checkpoint_starts_anew(train, tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path / 'absent'), load_from='start.pth'))
    train.set_resume(cfg, 'auto')
    assert cfg.get('resume') is None
    assert cfg.load_from == 'start.pth', 'the pretrained start stays'


def test_auto_resume_ignores_the_pretrained_start(train, tmp_path):
    (tmp_path / 'iter_7.pth').write_bytes(b'')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_7.pth'))
    cfg = Config(dict(work_dir=str(tmp_path), load_from='start.pth'))
    train.set_resume(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / 'iter_7.pth'))


def test_auto_resume_in_a_moved_work_dir(train, tmp_path):
    (tmp_path / 'iter_7.pth').write_bytes(b'')
    (tmp_path / 'last_checkpoint').write_text('/before/the/move/iter_7.pth')
    cfg = Config(dict(work_dir=str(tmp_path)))
    train.set_resume(cfg, 'auto')
    assert cfg.load_from == str(tmp_path / 'iter_7.pth')


def test_resume_from_a_named_checkpoint(train, tmp_path):
    (tmp_path / 'mine.pth').write_bytes(b'')
    cfg = Config(dict(work_dir=str(tmp_path)))
    train.set_resume(cfg, str(tmp_path / 'mine.pth'))
    assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / 'mine.pth'))
    with pytest.raises(FileNotFoundError, match='no checkpoint other.pth to resume from'):
        train.set_resume(cfg, 'other.pth')


@pytest.mark.parametrize('name', ['iter_3.pth', 'epoch_12.pth'])
def test_folders_that_hold_checkpoints(train, tmp_path, name):
    train.check_work_dir(tmp_path / 'absent')
    (tmp_path / 'tiny.py').write_text('')
    train.check_work_dir(tmp_path)
    (tmp_path / name).write_bytes(b'')
    with pytest.raises(ValueError, match=f"holds checkpoints of another run: '{name}'"):
        train.check_work_dir(tmp_path)


@pytest.mark.parametrize('flags', [['--overwrite'], []])
def test_overwriting_is_asked_for(config, tmp_path, monkeypatch, flags):
    class Built(Exception):
        pass

    def build(cfg):
        raise Built

    monkeypatch.setattr('mmengine.runner.Runner.from_cfg', build)
    (tmp_path / 'iter_3.pth').write_bytes(b'')
    with pytest.raises(Built if flags else ValueError):
        call_tool('tools/train.py', config, '--work-dir', tmp_path, *flags)


def test_resuming_without_last_checkpoint_does_not_start_over_another_run(config, tmp_path):
    (tmp_path / 'iter_3.pth').write_bytes(b'')
    (tmp_path / 'last_checkpoint').write_text('')
    with pytest.raises(ValueError, match='holds checkpoints of another run'):
        call_tool('tools/train.py', config, '--work-dir', tmp_path, '--resume')


def test_amp_flag(train, monkeypatch):
    monkeypatch.setattr(train, 'get_device', lambda: 'cuda')
    cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper')))
    train.turn_on_amp(cfg)
    assert cfg.optim_wrapper == dict(type='AmpOptimWrapper', loss_scale='dynamic')
    train.turn_on_amp(cfg)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    auto = Config(dict(optim_wrapper=dict(type='AutoAmpOptimWrapper')))
    train.turn_on_amp(auto)
    assert auto.optim_wrapper.type == 'AutoAmpOptimWrapper'
    with pytest.raises(ValueError, match="the config has 'ApexOptimWrapper'"):
        train.turn_on_amp(Config(dict(optim_wrapper=dict(type='ApexOptimWrapper'))))
    monkeypatch.setattr(train, 'get_device', lambda: 'cpu')
    with pytest.raises(ValueError, match='this run is on the cpu: leave --amp out'):
        train.turn_on_amp(Config(dict(optim_wrapper=dict(type='OptimWrapper'))))


def test_iters_scales_the_run(config, tmp_path):
    call_tool('tools/train.py', config, '--work-dir', tmp_path / 'run', '--iters', 1)
    assert (tmp_path / 'run/iter_1.pth').is_file()
    assert not (tmp_path / 'run/iter_2.pth').exists()
    with pytest.raises(ValueError, match='must be 1 or more, got 0'):
        call_tool('tools/train.py', config, '--work-dir', tmp_path / 'none', '--iters', 0)


def backbone_file(path, **changes):
    """Write the random backbone of the tiny run as a published file; a change of None removes a weight."""
    backbone = MODELS.build(tiny_segmentor()['backbone'])
    weights = {**backbone.state_dict(), **changes}
    kept = {f'backbone.{name}': value for name, value in weights.items() if value is not None}
    torch.save(dict(state_dict=kept), path)
    return weights


def test_init_from_starts_the_backbone(config, tmp_path):
    weights = backbone_file(tmp_path / 'start.pth')
    call_tool('tools/train.py', config, '--work-dir', tmp_path / 'run', '--init-from', tmp_path / 'start.pth',
              '--cfg-options', 'optim_wrapper.optimizer.lr=0.0', 'val_cfg=None', 'val_dataloader=None',
              'val_evaluator=None', 'train_cfg.max_iters=1')
    trained = torch.load(tmp_path / 'run/iter_1.pth', weights_only=False)['state_dict']
    assert torch.equal(trained['backbone.layer4.0.conv1.weight'], weights['layer4.0.conv1.weight'])


@pytest.mark.parametrize(('changes', 'message'), [
    ({'layer4.0.conv1.weight': None}, r"start.pth does not fit .*ResNet.*lacks 1 of .*layer4\.0\.conv1\.weight"),
    ({'conv1.weight': torch.zeros(2, 3, 7, 7)}, r'conv1\.weight \(2, 3, 7, 7\) against \(4, 3, 7, 7\)'),
])
def test_init_from_refuses_what_would_stay_random(config, tmp_path, changes, message):
    backbone_file(tmp_path / 'start.pth', **changes)
    with pytest.raises(ValueError, match=message):
        call_tool('tools/train.py', config, '--work-dir', tmp_path / 'run', '--init-from', tmp_path / 'start.pth')


def test_init_from_a_missing_file(config, tmp_path):
    with pytest.raises(FileNotFoundError, match='--init-from none.pth does not exist'):
        call_tool('tools/train.py', config, '--work-dir', tmp_path, '--init-from', 'none.pth')


def test_a_start_without_network_ends_before_anything_is_built(config, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(ValueError, match=r'127\.0\.0\.1:9/r18\.pth cannot be downloaded.*--init-from r18\.pth'):
        call_tool('tools/train.py', config, '--work-dir', tmp_path / 'run', '--cfg-options',
                  'model.backbone.init_cfg.type=Pretrained',
                  'model.backbone.init_cfg.checkpoint=https://127.0.0.1:9/r18.pth')
    assert not (tmp_path / 'run').exists()


def test_other_classes_than_those_of_the_model_are_refused(tmp_path):
    run_tool('tools/dataset_converters/make_sample.py', 'sample', '--num-train', 4, '--num-val', 2, cwd=tmp_path)
    options = ['model.cam_head.num_classes=5', 'model.backbone.init_cfg=None']
    result = run_tool('tools/train.py', 'configs/toco/plain_vit-micro_sample.py', '--data-root', 'sample',
                      '--cfg-options', *options, cwd=tmp_path, check=False)
    assert result.returncode == 2
    assert result.stdout.splitlines()[-1] == (
        "train.py: the train data have 8 classes ('boat', 'butterfly', 'car', 'cup', 'fish' and 3 more), but "
        'model.cam_head.num_classes is 5: name the classes with --classes, as a file or separated by commas, so that '
        'the model fits them')
