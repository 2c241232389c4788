"""A checkpoint that would run code, handed in at every door of mmwsss and of mmengine's runner."""

import itertools
import os

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader, Runner
from mmengine.runner import checkpoint as mmengine_checkpoint

from mmwsss.apis import init_model
from mmwsss.checkpoints import CheckpointError, load_weights, read_checkpoint, schemes
from mmwsss.registry import MODELS

from ..color_cam import color_cam_config
from ..helpers import call_tool, run_tool, tiny_runner_cfg, write_config, write_voc_folder

URL = 'https://example.invalid/bad.pth'
CONVERTER, PUBLISHER = (f'tools/model_converters/{name}.py' for name in ('official2mmwsss', 'publish_backbone'))
names = (f'doors_{index}' for index in itertools.count())


class Command:
    """Pickles as the shell command that would write a marker."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f'touch {self.marker}', )


class Place:
    """A folder with data, two configs, sound checkpoints and those that would write ``marker``."""

    def __init__(self, root):
        self.root, self.marker = root, root / 'ran'
        data = write_voc_folder(root / 'data')
        self.tiny = tiny_runner_cfg(data, root / 'work')
        write_config(self.tiny, root / 'tiny.py')
        self.cams = Config(dict(color_cam_config(data), default_hooks={}))
        write_config(self.cams._cfg_dict.to_dict(), root / 'cams.py')
        init_default_scope('mmwsss')
        self.sound = dict(state_dict=MODELS.build(Config(self.tiny).model).state_dict(), meta=dict(epoch=0, iter=1),
                          message_hub={}, optimizer={}, param_schedulers=[])
        torch.save(self.sound, root / 'sound.pth')
        self.bad = root / 'bad.pth'
        torch.save(dict(self.sound, extra=Command(self.marker)), self.bad)
        np.savez(root / 'bad.npz', cls=np.array([Command(self.marker)], dtype=object))
        (root / 'last_checkpoint').write_text(str(self.bad))

    def run(self, **changes):
        Runner.from_cfg(Config(dict(self.tiny, experiment_name=next(names), **changes))).train()

    def tool(self, script, *args, options=()):
        call_tool(script, *args, '--cfg-options', f'experiment_name={next(names)}', *options)

    def build(self, **init_cfg):
        MODELS.build(dict(type='mmseg.ResNet', depth=18, base_channels=4, stem_channels=4,
                          init_cfg=dict(type='Pretrained', **init_cfg))).init_weights()


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp('doors'))


def mmseg_init_model(place):
    from mmseg.apis import init_model as mmseg_init
    mmseg_init(Config(place.tiny), str(place.bad), device='cpu')


def mmpretrain_get_model(place):
    from mmpretrain import get_model
    get_model(Config(dict(model=dict(
        type='ImageClassifier', backbone=dict(type='ResNet', depth=18), neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=2, in_channels=512)))), pretrained=str(place.bad))


def from_url(place, path=URL):
    cache = place.root / 'hub/checkpoints'
    cache.mkdir(parents=True, exist_ok=True)
    (cache / 'bad.pth').write_bytes(place.bad.read_bytes())
    CheckpointLoader.load_checkpoint(path)


def from_store(place):
    CheckpointLoader.load_checkpoint('s3://bucket/bad.pth')


DOORS = {
    'read_checkpoint': lambda p: read_checkpoint(p.bad),
    'load_weights': lambda p: load_weights(torch.nn.Linear(1, 1), p.bad),
    'CheckpointLoader': lambda p: CheckpointLoader.load_checkpoint(str(p.bad)),
    'load_checkpoint': lambda p: mmengine_checkpoint.load_checkpoint(torch.nn.Linear(1, 1), str(p.bad)),
    'load_from_local': lambda p: mmengine_checkpoint.load_from_local(str(p.bad), 'cpu'),
    'init_model': lambda p: init_model(p.cams, p.bad),
    'mmseg init_model': mmseg_init_model,
    'mmpretrain get_model': mmpretrain_get_model,
    'load_from': lambda p: p.run(load_from=str(p.bad)),
    'resume': lambda p: p.run(load_from=str(p.bad), resume=True),
    'last_checkpoint': lambda p: p.run(resume=True, work_dir=str(p.root)),
    'init_cfg': lambda p: p.build(checkpoint=str(p.bad)),
    'init_cfg with prefix': lambda p: p.build(checkpoint=str(p.bad), prefix='backbone.'),
    'timm+': lambda p: p.build(checkpoint=f'timm+{p.bad}'),
    'resnet38+': lambda p: p.build(checkpoint=f'resnet38+{p.bad}'),
    'augreg+': lambda p: p.build(checkpoint=f'augreg+{p.root}/bad.npz'),
    'mmpretrain+': lambda p: init_model(p.cams, f'mmpretrain+{p.bad}'),
    'https://': from_url,
    'timm+https://': lambda p: from_url(p, f'timm+{URL}'),
    'resnet38+https://': lambda p: from_url(p, f'resnet38+{URL}'),
    'torchvision://': lambda p: from_url(p, 'torchvision://bad'),
    'open-mmlab://': lambda p: from_url(p, 'open-mmlab://bad'),
    'open-mmlab:// local': lambda p: from_url(p, 'open-mmlab://local'),
    'mmcls://': lambda p: from_url(p, 'mmcls://bad'),
    's3://': from_store,
    'pavi://': lambda p: CheckpointLoader.load_checkpoint('pavi://bad'),
    'train.py load_from': lambda p: p.tool('tools/train.py', p.root / 'tiny.py', options=[f'load_from={p.bad}']),
    'train.py --resume FILE': lambda p: p.tool('tools/train.py', p.root / 'tiny.py', '--resume', p.bad),
    'train.py --resume': lambda p: p.tool('tools/train.py', p.root / 'tiny.py', '--resume', '--work-dir', p.root),
    'test.py': lambda p: p.tool('tools/test.py', p.root / 'tiny.py', p.bad),
    'make_pseudo_labels.py': lambda p: p.tool('tools/make_pseudo_labels.py', p.root / 'cams.py', p.bad, '--out-dir',
                                              p.root / 'labels'),
    'analyze.py': lambda p: p.tool('tools/analyze.py', 'cam-table', p.root / 'cams.py', p.bad, '--out',
                                   p.root / 'table'),
    'publish_backbone.py': lambda p: call_tool(PUBLISHER, p.bad, p.root / 'published'),
    **{f'official2mmwsss.py {method}': lambda p, method=method: call_tool(CONVERTER, method, p.bad, p.root / 'out.pth')
       for method in ('toco', 'deit', 'resnet38-imagenet', 'conformer-imagenet', 'psa')},
}


@pytest.mark.parametrize('door', DOORS)
def test_no_door_runs_code(place, monkeypatch, door):
    class Store:
        @staticmethod
        def get(filename):
            return place.bad.read_bytes()

    monkeypatch.setenv('TORCH_HOME', str(place.root))
    monkeypatch.setattr(mmengine_checkpoint, 'get_torchvision_models', lambda: dict(bad=URL))
    monkeypatch.setattr(mmengine_checkpoint, 'get_mmcls_models', lambda: dict(bad=URL))
    monkeypatch.setattr(mmengine_checkpoint, 'get_external_models', lambda: dict(bad=URL, local=str(place.bad)))
    monkeypatch.setattr(schemes, 'get_file_backend', lambda *args, **kwargs: Store)
    with pytest.raises(CheckpointError, match='bad') as caught:
        DOORS[door](place)
    assert '\n' not in str(caught.value)
    assert not place.marker.exists()
    assert not (place.root / 'out.pth').exists()


def test_the_marker_would_be_written(place):
    """The file does what the test above says that it would."""
    try:
        torch.load(place.bad, weights_only=False)
        assert place.marker.exists()
    finally:
        place.marker.unlink(missing_ok=True)


def test_config_text_in_a_checkpoint_is_not_run(place):
    """mmengine runs ``meta['config']`` as Python when it resumes."""
    text = f'open({str(place.marker)!r}, "w")'
    place.run()
    content = read_checkpoint(place.root / 'work/iter_2.pth')
    torch.save(dict(content, meta=dict(content['meta'], config=text)), place.root / 'text.pth')
    place.run(load_from=str(place.root / 'text.pth'), resume=True, work_dir=str(place.root / 'resumed'))
    assert not place.marker.exists()


@pytest.mark.parametrize(('script', 'args'), [
    ('tools/test.py', ['tiny.py', 'bad.pth']), ('tools/train.py', ['tiny.py', '--resume', 'bad.pth']),
    (PUBLISHER, ['bad.pth', 'published']), (CONVERTER, ['toco', 'bad.pth', 'out.pth'])])
def test_tools_end_with_one_line_and_exit_code_2(place, script, args):
    result = run_tool(script, *args, cwd=place.root, check=False)
    last = result.stdout.strip().splitlines()[-1]
    assert result.returncode == 2, result.stdout
    assert 'Traceback' not in result.stdout
    assert last.startswith(f'{os.path.basename(script)}: checkpoint bad.pth is refused: it asks for posix.system')
    assert not place.marker.exists()


def test_the_traceback_is_shown_on_demand(place):
    result = run_tool(PUBLISHER, 'bad.pth', 'published', cwd=place.root, check=False, env=dict(MMWSSS_DEBUG='1'))
    assert result.returncode == 1
    assert 'Traceback' in result.stdout


def test_a_file_whose_name_only_resembles_a_prefix(place, tmp_path, monkeypatch):
    """A prefix ends with a plus; without it, the path is that of a file."""
    monkeypatch.chdir(tmp_path)
    torch.save(dict(w=torch.ones(1)), 'timmm_weights.pth')
    assert read_checkpoint('timmm_weights.pth')['w'] == 1


@pytest.mark.parametrize(('path', 'message'), [
    ('https://127.0.0.1:9/none.pth', 'cannot be downloaded'), ('https://127.0.0.1:9/', 'names no file'),
    ('torchvision://resnet51', 'none of the .* checkpoints'), ('open-mmlab://none', 'none of the'),
    ('mmcls://none', 'none of the')])
def test_places_without_a_checkpoint_are_named(tmp_path, monkeypatch, path, message):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(path)
