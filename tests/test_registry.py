"""Names of mmseg in mmwsss configs, and of mmwsss in mmseg configs, through a real Runner.

Every case runs in a process of its own: what another test imported must not help. These processes are forks of a fresh
one that has imported mmengine and none of the other MM packages.
"""

import json
import subprocess
import sys

import pytest

from mmwsss import registry

from .helpers import REPO, tiny_runner_cfg, tiny_segmentor, write_config, write_voc_folder

RUN = """
import json, os, sys
import matplotlib.pyplot, pandas, scipy.ndimage, torch._dynamo  # once for all forks, because they take long
from mmengine.config import Config
from mmengine.runner import Runner
from yapf.yapflib import yapf_api

yapf_api.FormatCode = lambda text, *args, **kwargs: (text, True)  # layout of the configs in logs; a second each

def run(path):
    cfg = Config.fromfile(path)
    if 'custom_imports' not in cfg:
        import mmwsss  # as the tools do
    assert not [name for name in sys.modules if name.startswith('mmseg.models')]
    runner = Runner.from_cfg(cfg)
    runner.train()
    parts = [runner.model, runner.model.decode_head.loss_decode, runner.train_dataloader.dataset,
             runner.train_dataloader.sampler, runner.param_schedulers[0], runner.visualizer, runner.hooks[-1],
             *runner.train_dataloader.dataset.pipeline.transforms, *runner.val_evaluator.metrics]
    parts += [hook for hook in runner.hooks]
    names = [f'{type(part).__module__.split(".")[0]}.{type(part).__name__}' for part in parts]
    print('PARTS', json.dumps([path, names]), flush=True)

assert not [name for name in sys.modules if name.startswith(('mmwsss', 'mmseg', 'mmpretrain'))]
for path in sys.argv[1:]:
    pid = os.fork()
    if pid == 0:
        run(path)
        break
    assert os.waitpid(pid, 0)[1] == 0, path
"""

OURS = {'mmwsss.BalancedCrossEntropyLoss', 'mmwsss.ImageLabelDataset', 'mmwsss.IterationSampler',
        'mmwsss.WarmupPolyLR', 'mmwsss.PackWSSSInputs', 'mmwsss.IterationSeedHook'}
THEIRS = {'mmseg.EncoderDecoder', 'mmseg.LoadAnnotations', 'mmseg.IoUMetric', 'mmseg.SegVisualizationHook',
          'mmseg.SegLocalVisualizer'}


def mixed_config(tmp_path, scope, own, theirs):
    """Give a run of parts of both packages; ``own`` and ``theirs`` are put before their names."""
    cfg = tiny_runner_cfg(write_voc_folder(tmp_path / 'data'), tmp_path / 'work', scope, model=tiny_segmentor(
        prefix=theirs, loss_decode=dict(type=f'{own}BalancedCrossEntropyLoss')))
    inner = dict(cfg['train_dataloader']['dataset'])
    pipeline = inner.pop('pipeline')
    pipeline[1] = dict(type=f'{theirs}LoadAnnotations')
    pipeline[-1] = dict(type=f'{own}PackWSSSInputs')
    inner['type'] = f'{theirs}BaseSegDataset'
    cfg['train_dataloader'].update(
        sampler=dict(type=f'{own}IterationSampler', shuffle=True),
        dataset=dict(type=f'{own}ImageLabelDataset', labels_from_masks=True, show_masks=True, test_mode=False,
                     pipeline=pipeline, dataset=inner))
    cfg['param_scheduler'] = dict(type=f'{own}WarmupPolyLR', warmup=1, total=2, by_epoch=False)
    cfg['custom_hooks'] = [dict(type=f'{own}IterationSeedHook')]
    cfg['val_evaluator']['type'] = f'{theirs}IoUMetric'
    return cfg


CASES = dict(
    bare_names_of_both_in_a_mmwsss_config=('mmwsss', '', '', {}),
    prefixed_names_of_ours_in_a_mmseg_config=('mmseg', 'mmwsss.', '', dict(custom_imports=dict(imports=['mmwsss']))),
    prefixed_names_of_theirs_in_a_mmwsss_config=('mmwsss', 'mmwsss.', 'mmseg.', {}))


@pytest.fixture(scope='module')
def parts(tmp_path_factory):
    """The names of the parts of a run of every case."""
    root = tmp_path_factory.mktemp('cases')
    paths = {}
    for name, (scope, own, theirs, more) in CASES.items():
        cfg = mixed_config(root / name, scope, own, theirs)
        paths[name] = str(write_config({**cfg, **more}, root / name / 'config.py'))
    result = subprocess.run([sys.executable, '-c', RUN, *paths.values()], text=True, capture_output=True, cwd=REPO,
                            check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    assert 'Failed to search registry' not in result.stdout + result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith('PARTS')]
    found = dict(json.loads(line[len('PARTS'):]) for line in lines)
    return {name: set(found[path]) for name, path in paths.items()}


@pytest.mark.parametrize('case', CASES)
def test_every_name_leads_to_its_package(parts, case):
    assert parts[case] >= OURS | THEIRS


LOOKUPS = [
    ('MODELS', 'FCNHead', 'ToCo'),
    ('MODELS', 'mmpretrain.VisionTransformer', 'AttentionViT'),
    ('DATASETS', 'PascalVOCDataset', 'ImageLabelDataset'),
    ('DATA_SAMPLERS', 'InfiniteSampler', 'IterationSampler'),
    ('TRANSFORMS', 'PackSegInputs', 'PackWSSSInputs'),
    ('METRICS', 'IoUMetric', 'CAMMetric'),
    ('HOOKS', 'SegVisualizationHook', 'IterationSeedHook'),
    ('PARAM_SCHEDULERS', 'PolyLR', 'WarmupPolyLR'),
    ('VISUALIZERS', 'SegLocalVisualizer', 'CAMVisualizer'),
    ('OPTIM_WRAPPER_CONSTRUCTORS', 'LayerDecayOptimizerConstructor', None),
    ('VISBACKENDS', 'LocalVisBackend', None),
    ('LOOPS', 'IterBasedTrainLoop', None),
]


@pytest.fixture(scope='module')
def found():
    """Look every name up, each registry's first, in one fresh process."""
    code = ('import json, mmwsss, mmwsss.registry as r, mmseg.registry as s\n'
            f'names = {[list(entry) for entry in LOOKUPS]!r}\n'
            'name_of = lambda c: None if c is None else c.__module__.split(".")[0] + "." + c.__name__\n'
            'out = [[name_of(getattr(r, k).get(theirs)), ours and name_of(getattr(r, k).get(ours)),\n'
            '        ours and name_of(getattr(s, k).get("mmwsss." + ours))] for k, theirs, ours in names]\n'
            'print("FOUND", json.dumps(out))')
    out = subprocess.run([sys.executable, '-c', code], text=True, capture_output=True, check=True).stdout
    line, = (line for line in out.splitlines() if line.startswith('FOUND'))
    return dict(zip(((entry[0], entry[1]) for entry in LOOKUPS), json.loads(line[len('FOUND'):])))


@pytest.mark.parametrize(('name', 'theirs', 'ours'), LOOKUPS)
def test_lookups(found, name, theirs, ours):
    from_us, own, from_mmseg = found[name, theirs]
    assert from_us.split('.')[1] == theirs.split('.')[-1]
    if ours is not None:
        assert own == from_mmseg == f'mmwsss.{ours}'


@pytest.mark.parametrize('name', registry.__all__)
def test_registries_are_children_of_mmseg_s(name):
    from mmseg import registry as mmseg_registry
    child = getattr(registry, name)
    assert child.parent is getattr(mmseg_registry, name)
    assert child.scope == 'mmwsss'
