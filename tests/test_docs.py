"""The documentation: its Python blocks run, its links lead somewhere, and the tools understand its commands."""

import importlib
import json
import os
import re
import shutil
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import Runner, save_checkpoint
from mmengine.utils import digit_version
from mmseg.datasets import PascalVOCDataset
from mmseg.structures import SegDataSample
from PIL import Image

from mmwsss.analysis import ANALYSES, CAMVisualizer, Sample, build_analysis
from mmwsss.apis import WSSSInferencer, export_onnx, inference_cams, init_model
from mmwsss.checkpoints import list_assets
from mmwsss.datasets import labels_from_masks
from mmwsss.datasets.map_files import write_cams, write_label_map
from mmwsss.models import AttentionViT, Request, extract_features
from mmwsss.pseudo_labels.label_cfg import check_keys
from mmwsss.recipes import STAGES, RecipeContext, read_recipe, read_sweep
from mmwsss.registry import MODELS
from mmwsss.utils.commands import ToolCommands, run_command

from .color_cam import color_cam_config
from .doc_commands import check_command, commands, parse
from .helpers import REPO, call_tool, tiny_runner_cfg, tiny_segmentor, write_config, write_voc_folder

PAGES = sorted(page for pattern in ('docs/*.md', 'configs/**/*.md', 'projects/**/*.md', '*.md')
               for page in REPO.glob(pattern))
DOCS = [page for page in PAGES if page.parent.name == 'docs']
BLOCK = re.compile(r'^(?:<!-- test: (?P<name>\w+) -->\n)?(?P<indent> *)```python\n(?P<code>.*?)^(?P=indent)```',
                   re.M | re.S)
VOC = 'data/VOCdevkit/VOC2012'


def blocks():
    return [(page, found['name'], found['code']) for page in PAGES for found in BLOCK.finditer(page.read_text())]


SNIPPETS = {name: code for _, name, code in blocks() if name}


def page_id(page):
    return str(page.relative_to(REPO))


# The blocks as such


def test_every_block_is_marked_and_tested():
    unmarked = [f'{page.name}: {code.splitlines()[0]}' for page, name, code in blocks() if not name]
    assert not unmarked
    names = {name for _, name, _ in blocks()}
    assert len(names) == len({(name, code) for _, name, code in blocks()}), 'one name stands for different blocks'
    source = Path(__file__).read_text()
    untested = [name for name in names if f"'{name}'" not in source]
    assert not untested


def anchors(page):
    headings = re.findall(r'^#+ +(.*)$', re.sub(r'^```.*?^```', '', page.read_text(), flags=re.M | re.S), re.M)
    plain = [re.sub(r'[^\w\- ]', '', heading.strip().lower()).replace(' ', '-') for heading in headings]
    return set(plain)


@pytest.mark.parametrize('page', PAGES, ids=page_id)
def test_links_lead_somewhere(page):
    text = re.sub(r'^```.*?^```', '', page.read_text(), flags=re.M | re.S)
    broken = []
    for target in re.findall(r'\]\(([^)\s]+)\)', text):
        if target.startswith(('http://', 'https://', 'mailto:')):
            continue
        path, _, anchor = target.partition('#')
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert not broken


def test_the_site_has_all_pages_and_packages():
    nav = (REPO / 'mkdocs.yml').read_text().partition('\nnav:')[2]
    pages = [page_id(page) for page in PAGES if page.parent.name != 'published_maps']
    pages += [str(page.relative_to(REPO)) for page in (REPO / 'docs').glob('*.ipynb')]
    packages = [str(path.parent.relative_to(REPO)) for path in (REPO / 'mmwsss').glob('*/__init__.py')]
    missing = [name for name in [*pages, *packages] if not re.search(rf'{re.escape(name)}$', nav, re.M)]
    assert not missing, f'add these to mkdocs.yml: {missing}'
    reference = (REPO / 'docs/api.md').read_text()
    assert all(f'(../{package})' in reference for package in packages)


# The commands


@pytest.mark.parametrize('page', PAGES, ids=page_id)
def test_tools_understand_the_commands(page):
    for words in commands(page.read_text()):
        check_command(words)
    missing = [name for name in re.findall(r'-r (\S+\.txt)', page.read_text()) if not (REPO / name).is_file()]
    assert not missing


def test_the_commands_are_found():
    found = [words for page in DOCS for words in commands(page.read_text())]
    assert len(found) > 60
    assert any(words[1] == 'tools/make_pseudo_labels.py' and '--post' in words for words in found)
    assert any(words[:2] == ['mmwsss', 'train'] for words in found)


@pytest.mark.parametrize(('command', 'complaint'), [
    ('python tools/train.py', 'required: config'),
    ('python tools/trains.py configs/toco/toco_vit-b_voc.py', 'no tools/trains.py'),
    ('mmwsss trains configs/toco/toco_vit-b_voc.py', 'no tool trains'),
    ('bash tools/dist_train.sh configs/toco/toco_vit-b_voc.py', 'number of processes'),
    ('python tools/make_pseudo_labels.py configs/toco/toco_vit-b_voc.py C --out-dir D --post smooth', 'invalid choice'),
    ('python tools/train.py configs/toco/toco_vit-b_voc.py --cfg-options model.heads.high=1', 'no model.heads.high'),
    ('python tools/train.py configs/toco/toco_vit-b_vocs.py', 'no config'),
])
def test_wrong_commands_are_noticed(command, complaint):
    words, = commands(f'    {command}\n')
    with pytest.raises((AssertionError, FileNotFoundError), match=complaint):
        check_command(words)


PAPERS = {
    'ToCo': (12, ['1', '2', '3', '4', '5a', '5b', '5c', '6', '7a', '7b', '7c', '8']),
    'MCTformer': (6, [str(number) for number in range(1, 8)]),
    'WeakTr': (11, [str(number) for number in range(1, 16)]),
    'AReAM': (9, ['I', 'II', 'III', 'IV']),
    'TransCAM': (7, [str(number) for number in range(1, 9)]),
}
"""dict: Number of figures and names of the tables of each paper."""


@pytest.mark.parametrize('paper', PAPERS)
def test_every_figure_and_table_has_a_command(paper):
    text = re.search(rf'^## {paper}$(.*?)^## ', (REPO / 'docs/papers.md').read_text(), re.M | re.S)[1]
    lines = [line for line in text.splitlines() if line.startswith('| ')]
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    figures, tables = PAPERS[paper]
    expected = [f'Fig. {number}' for number in range(1, figures + 1)] + [f'Table {name}' for name in tables]
    assert [row[0] for row in rows[1:] if row[0].startswith(('Fig', 'Table'))] == expected
    for row in rows[1:]:
        assert row[3].startswith(('`python ', '[')), row[0]


# Blocks that run by themselves


@pytest.mark.parametrize('name', ['backbone', 'affinity', 'observation', 'par', 'refined_labels', 'sweep', 'polygons'])
def test_block_runs(name):
    space = {}
    exec(compile(SNIPPETS[name], name, 'exec'), space)
    if name == 'par':
        assert space['refined'].shape == (2, 5, 96, 128)
    elif name == 'polygons':
        assert (space['same'] == space['mask']).all()
    elif name == 'affinity':
        assert space['refined'].shape == (2, 20, 8, 12)
    elif name == 'observation':
        arch = dict(embed_dims=8, num_layers=3, num_heads=2, feedforward_channels=8)
        similarity = space['TokenSimilarity']()
        features = extract_features(AttentionViT(arch=arch, img_size=16, patch_size=8), torch.rand(2, 3, 16, 16),
                                    Request(observations=(similarity, )))
        assert features[similarity].shape == (2, 3)
        assert features[similarity].max() <= 1 + 1e-6
    elif name == 'refined_labels':
        assert set(space['plain'].unique().tolist()) | set(space['refined'].unique().tolist()) <= {0, 4, 8, 255}


def test_crf_block():
    pytest.importorskip('pydensecrf', reason='the block needs the optional dense CRF')
    space = {}
    exec(compile(SNIPPETS['crf'], 'crf', 'exec'), space)
    assert space['marginals'].shape == (4, 60, 80)
    assert space['refined'].shape == (60, 80)
    assert 'toco_label' in space['CRF_PRESETS']


def test_label_cfg_blocks():
    pytest.importorskip('pydensecrf', reason='the list has a dense CRF')
    space = {}
    exec(compile(SNIPPETS['label_cfg'], 'label_cfg', 'exec'), space)
    exec(compile(SNIPPETS['own_walk'], 'own_walk', 'exec'), space)
    check_keys(space['label_cfg'])
    check_keys(dict(steps=space['steps']))


def test_analysis_block(tmp_path, monkeypatch):
    monkeypatch.setattr(ANALYSES, '_module_dict', dict(ANALYSES.module_dict))
    exec(compile(SNIPPETS['analysis'], 'analysis', 'exec'), {'__name__': 'analysis'})
    analysis, options = build_analysis('token-norm', dict(log=True))
    arch = dict(embed_dims=8, num_layers=3, num_heads=2, feedforward_channels=8)
    model = torch.nn.Module()
    model.backbone = AttentionViT(arch=arch, img_size=16, patch_size=8)
    images = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        analysis.process(model, Sample(images, np.zeros((16, 24, 3), np.uint8), None, None, 'a', {}, ()))
    assert len(analysis.compute()['mean']) == 3
    analysis.draw(dict(options=options, runs=[dict(label='a', data=analysis.compute())]), tmp_path / 'norm.png')
    assert (tmp_path / 'norm.png').stat().st_size


# Recipes


def test_recipe_block(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'recipe.py').write_text(SNIPPETS['recipe'])
    context = RecipeContext(read_recipe('recipe.py'), tmp_path / 'out', ToolCommands(REPO))
    lines = [stage.command(context) for stage in context.recipe.stages]
    assert len(lines) == 6
    for line in lines:
        place = next(i for i, word in enumerate(line) if word.startswith(str(REPO)))
        parse(str(Path(line[place]).relative_to(REPO)), line[place + 1:])


def test_sweep_block(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'sweep.py').write_text(SNIPPETS['sweep_file'])
    sweep = read_sweep('sweep.py')
    assert len(sweep.runs) == 6
    context = RecipeContext(sweep.recipe, tmp_path / 'out', ToolCommands(REPO))
    lines = [stage.command(context) for stage in sweep.recipe.stages]
    assert len(lines) == 7
    for line in lines:
        place = next(i for i, word in enumerate(line) if word.startswith(str(REPO)))
        parse(str(Path(line[place]).relative_to(REPO)), line[place + 1:])


def test_stage_kind_block(tmp_path, monkeypatch):
    monkeypatch.setattr(STAGES, '_module_dict', dict(STAGES.module_dict))
    exec(compile(SNIPPETS['stage_kind'], 'stage_kind', 'exec'), {'__name__': 'stage_kind'})
    stages = [dict(name='cam', kind='train', config='configs/toco/toco_vit-micro_sample.py'),
              dict(name='labels', kind='pseudo-labels', checkpoint='cam'),
              dict(name='count', kind='count-labels', labels='labels')]
    recipe = read_recipe(write_config(dict(title='Some', stages=stages), tmp_path / 'recipe.py'))
    context, stage = RecipeContext(recipe, tmp_path, ToolCommands(REPO)), recipe.stage('count')
    for name in ('labels/labels/a.png', 'labels/labels/b.png', 'count/started.json'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert run_command(stage.command(context)) == 0
    assert stage.results(context) == {'files': 2.0}


# Configs that inherit from an mmseg config


@pytest.fixture(scope='module')
def mmseg_folder(tmp_path_factory):
    """A working folder with VOC's layout in data/, pseudo labels in work_dirs/, and my_config.py of mmseg."""
    folder = tmp_path_factory.mktemp('mmseg')
    root = write_voc_folder(folder / VOC)
    lists = root / 'ImageSets/Segmentation'
    shutil.copyfile(lists / 'train.txt', lists / 'trainaug.txt')
    labels_from_masks(root / 'SegmentationClass', PascalVOCDataset.METAINFO['classes'][1:]).save(
        root / 'image_labels.json')
    (folder / 'work_dirs/pseudo').mkdir(parents=True)
    for image_id in lists.joinpath('train.txt').read_text().split()[:4]:
        shutil.copyfile(root / f'SegmentationClass/{image_id}.png', folder / f'work_dirs/pseudo/{image_id}.png')
    write_config(mmseg_config(folder, root), folder / 'my_config.py')
    (folder / 'energy_segmentor.py').write_text(SNIPPETS['energy_segmentor'])
    return folder


def mmseg_config(folder, root):
    cfg = tiny_runner_cfg(root, folder / 'work', 'mmseg', tiny_segmentor(num_classes=21))
    cfg['model']['backbone'].update(base_channels=64, stem_channels=64)
    cfg['model']['decode_head']['in_channels'] = 512
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        inner = cfg[loader]['dataset']
        for key in ('metainfo', 'img_suffix', 'seg_map_suffix'):
            inner.pop(key)
        inner.update(type='PascalVOCDataset', data_root=VOC)
    cfg['model']['data_preprocessor']['size'] = (64, 64)
    cfg['test_pipeline'] = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    return cfg


@pytest.fixture
def child_runner(mmseg_folder, monkeypatch):
    """Build the Runner of a block that stands beside my_config.py."""
    monkeypatch.chdir(mmseg_folder)
    monkeypatch.syspath_prepend(str(mmseg_folder))

    def build(name, change=None):
        (mmseg_folder / f'{name}.py').write_text(SNIPPETS[name])
        cfg = Config.fromfile(f'{name}.py', format_python_code=False)
        cfg.experiment_name = f'docs_{name}'
        if change:
            change(cfg)
        return Runner.from_cfg(cfg)

    return build


def trained_loss(runner):
    runner.train()
    history = runner.message_hub.log_scalars
    loss = history['train/loss'].current()
    assert np.isfinite(loss)
    return {key.split('/')[1]: value.current() for key, value in history.items() if 'loss' in key}


@pytest.mark.skipif(not (REPO / 'mmwsss/.mim/configs').exists(), reason='mmwsss is not installed, not even editable')
def test_stock_config_block(tmp_path):
    (tmp_path / 'stock_config.py').write_text(SNIPPETS['stock_config'])
    cfg = Config.fromfile(tmp_path / 'stock_config.py', format_python_code=False)
    assert cfg.model.decode_head.type == 'DepthwiseSeparableASPPHead'
    assert cfg.train_dataloader.dataset.type == 'PseudoLabelDataset'
    assert type(MODELS.build(dict(cfg.model, pretrained=None))).__name__ == 'EncoderDecoder'


def test_mmseg_apis_block(tmp_path, monkeypatch):
    model = init_model('configs/mctformer/mctformer-v2_vit-micro_sample.py')
    meta = {'dataset_meta': {'classes': ['background', *'abcdefgh'], 'palette': [[10 * i] * 3 for i in range(9)]}}
    save_checkpoint({'state_dict': model.state_dict(), 'meta': meta}, str(tmp_path / 'best.pth'))
    (tmp_path / 'photos').mkdir()
    Image.new('RGB', (48, 40)).save(tmp_path / 'photos/dog.jpg')
    (tmp_path / 'configs').symlink_to(REPO / 'configs')
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(SNIPPETS['mmseg_apis'], names)
    assert names['result']['predictions'].shape == names['labels'].shape == (40, 48)
    assert names['cams'].shape == (8, 40, 48)
    assert sorted(path.name for path in (tmp_path / 'results/vis').iterdir()) == ['dog.jpg']


def test_balanced_cross_entropy_block(child_runner):
    losses = trained_loss(child_runner('balanced_cross_entropy'))
    assert {'decode.loss_balanced_ce', 'decode.loss_dice'} <= losses.keys()


def test_gradient_clipping_block(child_runner):
    runner = child_runner('gradient_clipping')
    assert trained_loss(runner).keys() >= {'decode.loss_clipped_ce'}
    assert runner.message_hub.get_scalar('train/clipped_pixels').current() >= 0


def test_dense_energy_block(child_runner):
    assert 'class EnergyRegularized' in SNIPPETS['energy_segmentor']
    losses = trained_loss(child_runner('dense_energy'))
    assert losses['loss_reg'] < 0


def test_large_fov_block(child_runner):
    runner = child_runner('large_fov')
    assert type(runner.model.decode_head).__name__ == 'LargeFOVHead'
    assert 'decode.loss_balanced_ce' in trained_loss(runner)


def test_image_labels_block(child_runner):
    runner = child_runner('image_labels')
    trained_loss(runner)
    sample = runner.train_dataloader.dataset[0]['data_samples']
    assert sample.gt_label.shape == (20, )
    assert sample.gt_label.sum() == len(set(sample.gt_sem_seg.data.unique().tolist()) - {0, 255})


def test_pseudo_labels_block(child_runner):
    runner = child_runner('pseudo_labels')
    trained_loss(runner)
    dataset = runner.train_dataloader.dataset
    assert len(dataset) == 4
    assert Path(dataset.get_data_info(0)['seg_map_path']).parent.name == 'pseudo'


def test_pseudo_label_hook_block(child_runner, mmseg_folder):
    runner = child_runner('pseudo_label_hook')
    trained_loss(runner)
    assert len(list((mmseg_folder / 'work/pseudo_labels').glob('*.png'))) == 6


def test_schedule_block(child_runner):
    runner = child_runner('schedule')
    trained_loss(runner)
    assert type(runner.param_schedulers[0]).__name__ == 'WarmupPolyLR'
    assert type(runner.train_dataloader.sampler).__name__ == 'IterationSampler'
    assert 'IterationSeedHook' in [type(hook).__name__ for hook in runner.hooks]


def test_tta_block(child_runner):
    pytest.importorskip('pydensecrf', reason='the block ends with a dense CRF')

    def as_mmseg_does(cfg):
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        cfg.tta_model.module = cfg.model
        cfg.model = cfg.tta_model

    runner = child_runner('tta', as_mmseg_does)
    assert type(runner.model).__name__ == 'MultiScaleTTA'
    assert 'seg/mIoU' in runner.test()


@pytest.fixture
def my_steps(mmseg_folder, monkeypatch):
    """The user's step as a module that can be imported."""
    (mmseg_folder / 'my_steps.py').write_text(SNIPPETS['label_step'])
    monkeypatch.syspath_prepend(mmseg_folder)
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(mmseg_folder), str(REPO)]))
    yield importlib.import_module('my_steps')
    MODELS.module_dict.pop('Blur', None)
    del sys.modules['my_steps']


def test_a_label_step_is_short():
    assert len(SNIPPETS['label_step'].splitlines()) < 30


def test_label_step_offline(my_steps, tmp_path):
    root = write_voc_folder(tmp_path / 'data')
    cfg = Config(color_cam_config(root))
    cfg.custom_imports.imports.append('my_steps')
    write_config(cfg._cfg_dict.to_dict(), tmp_path / 'my_config.py')
    torch.save(dict(state_dict=init_model(cfg).state_dict()), tmp_path / 'model.pth')
    (tmp_path / 'list').mkdir()
    (tmp_path / 'list/my_labels.py').write_text(SNIPPETS['label_step_list'])
    call_tool('tools/make_pseudo_labels.py', tmp_path / 'my_config.py', tmp_path / 'model.pth', '--out-dir',
              tmp_path / 'out', '--label-cfg', tmp_path / 'list/my_labels.py', '--workers', 1)
    assert len(list((tmp_path / 'out').glob('*.png'))) == len(list((tmp_path / 'out/cams').glob('*.npz'))) == 6
    assert json.loads((tmp_path / 'out/pseudo_labels.json').read_text())['settings']['label_cfg']['steps'][0] == dict(
        type='Blur', size=5)


def test_label_step_in_the_hook(my_steps, child_runner, mmseg_folder):
    shutil.rmtree(mmseg_folder / 'work/pseudo_labels', ignore_errors=True)
    trained_loss(child_runner('label_step_hook'))
    assert len(list((mmseg_folder / 'work/pseudo_labels').glob('*.png'))) == 6


def test_label_step_at_test_time(my_steps, child_runner):
    def as_mmseg_does(cfg):
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        cfg.tta_model.module = cfg.model
        cfg.model = cfg.tta_model

    runner = child_runner('label_step_tta', as_mmseg_does)
    assert type(runner.model.pipeline.steps[0]).__name__ == 'Blur'
    assert 'seg/mIoU' in runner.test()


def test_label_step_online(my_steps):
    space = {}
    exec(compile(SNIPPETS['label_step_online'], 'label_step_online', 'exec'), space)
    assert space['labels'].shape == (2, 96, 128)
    assert set(space['labels'].unique().tolist()) <= {0, 4, 8, 255}


@pytest.mark.parametrize(('name', 'attribute'), [('label_step_toco', 'label_pipeline'),
                                                 ('label_step_cams', 'test_steps')])
def test_label_step_inside_of_models(my_steps, tmp_path, name, attribute):
    """In ToCo's iteration, and on the maps that a CAM model predicts."""
    config = tmp_path / 'config.py'
    config.write_text(SNIPPETS[name].replace("'configs/", f"'{REPO}/configs/"))
    model = init_model(config, cfg_options={'model.backbone.init_cfg': None})
    seen = []
    blur = next(step for step in getattr(model, attribute).steps if type(step).__name__ == 'Blur')
    blur.transform = lambda batch: seen.append(batch.scores.shape) or type(blur).transform(blur, batch)
    samples = [SegDataSample(metainfo=dict(ori_shape=(64, 64), img_shape=(64, 64), sample_seed=0)) for _ in range(2)]
    for sample in samples:
        sample.gt_label = torch.tensor([1., 0, 0, 1, 0, 0, 0, 0])
    images = torch.rand(2, 3, 64, 64)
    if name == 'label_step_toco':
        MessageHub.get_current_instance().update_info('iter', 10**6)
        losses = model.train()(dict(main=images, global2=images, local=images), samples, mode='loss')
        assert losses['loss_seg'].isfinite()
    else:
        assert model(images, samples, mode='predict')[0].cams.data.shape == (8, 64, 64)
    assert seen == [(2, 1, 3, 32, 32) if name == 'label_step_toco' else (2, 1, 9, 64, 64)]


# What needs the sample set


@pytest.fixture(scope='module')
def sample_folder(tmp_path_factory):
    """A working folder with a few sample images in data/sample and the package's configs."""
    folder = tmp_path_factory.mktemp('sample')
    call_tool('tools/dataset_converters/make_sample.py', folder / 'data/sample', '--num-train', 6, '--num-val', 2)
    shutil.copytree(REPO / 'configs', folder / 'configs')
    return folder


def test_own_config_block(sample_folder):
    (sample_folder / 'mine').mkdir()
    path = sample_folder / 'mine/config.py'
    path.write_text(SNIPPETS['own_config'])
    cfg = Config.fromfile(path)
    base = Config.fromfile(REPO / 'configs/toco/toco_vit-micro_sample.py')
    assert cfg.model.loss_ctc.type == base.model.loss_ctc.type
    assert (cfg.model.loss_ctc.temperature, cfg.model.train_cfg.high, cfg.train_dataloader.batch_size) == (1., .65, 4)


def test_from_python_block(sample_folder, monkeypatch):
    monkeypatch.chdir(sample_folder)
    model = init_model('configs/toco/toco_vit-micro_sample.py', cfg_options={'model.backbone.init_cfg': None})
    save_checkpoint({'state_dict': model.state_dict(), 'meta': {}}, 'work_dirs/toco_vit-micro_sample/iter_600.pth')
    image = next((sample_folder / 'data/sample/JPEGImages').glob('*.jpg'))
    shutil.copyfile(image, 'photo.jpg')
    space = {}
    exec(compile(SNIPPETS['from_python'], 'from_python', 'exec'), space)
    width, height = Image.open(image).size
    assert space['mask'].shape == (height, width)
    fish = list(space['model'].dataset_meta['classes']).index('fish')
    assert space['cams'].any(axis=(1, 2)).nonzero()[0].tolist() in ([fish - 1], [])
    assert set(np.unique(space['mask'])) <= {0, 1, fish}

    exec(compile(SNIPPETS['predict_from_python'], 'predict_from_python', 'exec'), space)
    assert len(space['prediction'].scores) == 8
    assert space['picture'].shape == (height, width, 3)
    assert space['sheet'].ndim == 3

    (sample_folder / 'work_dirs/demo').mkdir()
    (sample_folder / 'work_dirs/demo/toco').symlink_to('../toco_vit-micro_sample')
    exec(compile(SNIPPETS['readme_cams'], 'readme_cams', 'exec'), space)
    assert space['cams'].shape == (8, height, width)


def test_aream_block(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(SNIPPETS['aream_on_mctformer'].replace("'../", f"'{REPO}/configs/"))
    model = MODELS.build(dict(Config.fromfile(path, format_python_code=False).model, init_cfg=None))
    assert [type(part).__name__ for part in model.auxiliary.values()] == ['AffinityReactivation']


def test_onnx_segment_block(tmp_path, monkeypatch):
    pytest.importorskip('onnxruntime')
    monkeypatch.chdir(tmp_path)
    model = init_model(Config(tiny_runner_cfg(tmp_path / 'voc', tmp_path / 'work')))
    export_onnx(model, 'model.onnx', exporter='torchscript')
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (37, 50, 3), np.uint8)).save('photo.jpg')
    exec(compile(SNIPPETS['onnx_segment'], 'onnx_segment', 'exec'), {})
    mask = Image.open('mask.png')
    assert (mask.size, mask.mode) == ((50, 37), 'P')
    assert set(np.unique(np.array(mask))) <= {0, 1, 2}
    labels = WSSSInferencer(model, device='cpu', show_progress=False)('photo.jpg')['predictions'][0].labels
    assert (labels == np.array(mask)).mean() > .9


def test_record_graph_block(tmp_path, monkeypatch):
    if digit_version(torch.__version__) < digit_version('2.6'):
        pytest.skip('torch.export of PyTorch before 2.6')
    monkeypatch.chdir(tmp_path)
    model = init_model('configs/toco/toco_vit-micro_sample.py', cfg_options={'model.backbone.init_cfg': None})
    save_checkpoint({'state_dict': model.state_dict(), 'meta': {}}, 'work_dirs/toco/iter_600.pth')
    space = {}
    exec(compile(SNIPPETS['record_graph'], 'record_graph', 'exec'), space)
    images = torch.rand(1, 3, 72, 128)
    for recorded in (torch.jit.load('toco.pt'), torch.export.load('toco.pt2').module()):
        for output, expected in zip(recorded(images), space['graph'](images)):
            torch.testing.assert_close(output, expected, rtol=1e-3, atol=1e-3)
    assert space['cams'].shape == (1, 8, 160, 96)


def test_both_label_kinds_block(sample_folder):
    from mmwsss.registry import METRICS
    space = {}
    exec(compile(SNIPPETS['both_label_kinds'], 'both', 'exec'), space)
    metrics = [METRICS.build(cfg) for cfg in space['val_evaluator']]
    assert [metric.prefix for metric in metrics] == ['seg', 'cam', 'cam']
    assert metrics[1]._full_name('mIoU') == 'mIoU'
    assert metrics[2]._full_name('mIoU') == 'predicted_mIoU'


def test_evaluation_result_block(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for index in range(2):
        mask = np.zeros((6, 8), np.uint8)
        mask[:3, :4] = index + 1
        write_label_map(mask, f'SegmentationClass/{index}.png')
        write_cams((mask > 0)[None] * .45, [index], mask.shape, f'cams/{index}.npz')
    space = {'ids': ['0', '1']}
    exec(compile(SNIPPETS['evaluation_result'], 'evaluation_result', 'exec'), space)
    assert space['best'] == 0
    output = capsys.readouterr().out
    assert all(word in output for word in ('precision', 'disc', 'oracle_mIoU'))


def test_data_sets_block(mmseg_folder, monkeypatch):
    monkeypatch.chdir(mmseg_folder)
    space = {}
    exec(compile(SNIPPETS['data_sets'], 'data_sets', 'exec'), space)
    loader = {**space['train_dataloader'], 'num_workers': 0, 'batch_size': 1}
    loader = Runner.build_dataloader(loader, seed=0)
    assert next(iter(loader))['data_samples'][0].gt_label.shape == (20, )


@pytest.fixture(scope='module')
def affinity_cam(sample_folder):
    """The worked example as files: affinity_cam.py beside its config."""
    (sample_folder / 'affinity_cam.py').write_text(SNIPPETS['affinity_cam'])
    config = sample_folder / 'configs/affinity_cam/affinity-cam_vit-micro_sample.py'
    config.parent.mkdir()
    config.write_text(SNIPPETS['affinity_cam_config'])
    sys.path.insert(0, str(sample_folder))
    importlib.import_module('affinity_cam')
    yield config
    sys.path.remove(str(sample_folder))


def test_the_example_trains_and_the_tools_know_it(affinity_cam, sample_folder, monkeypatch):
    monkeypatch.chdir(sample_folder)
    monkeypatch.setattr(CAMVisualizer, '_instance_dict', OrderedDict())  # shared by all runs of a process
    views = 'model.test_cfg.cams.scales=[1.0,0.5]'  # those of the config, up to twice the size, take most of the time
    changes = [views, 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'train_dataloader.batch_size=2',
               'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
               'default_hooks.checkpoint.interval=1', 'default_hooks.logger.interval=1', 'log_level=WARNING']
    changes += [] if list_assets() else ['model.backbone.init_cfg=None']
    call_tool('tools/train.py', affinity_cam, '--work-dir', 'work_dirs/affinity', '--cfg-options', *changes)
    checkpoint = sample_folder / 'work_dirs/affinity/epoch_1.pth'
    log = next((sample_folder / 'work_dirs/affinity').glob('*/vis_data/scalars.json')).read_text()
    assert all(name in log for name in ('loss_cls', 'cam/mIoU', 'cam/oracle_mIoU', 'cam/cls_F1'))
    assert list((sample_folder / 'work_dirs/affinity/vis_data').glob('val_*.png'))

    model = init_model(affinity_cam, checkpoint, cfg_options={'model.test_cfg.cams.scales': [1.0, 0.5]})
    image = next((sample_folder / 'data/sample/JPEGImages').glob('*.jpg'))
    cams = inference_cams(model, image, 'all')
    assert cams.shape == (8, *Image.open(image).size[::-1])
    assert 0 <= cams.min() < cams.max() <= 1
    call_tool('tools/make_pseudo_labels.py', affinity_cam, checkpoint, '--out-dir', 'work_dirs/affinity_labels',
              '--cfg-options', views)
    assert len(list((sample_folder / 'work_dirs/affinity_labels').glob('*.png'))) == 6


def test_the_example_s_own_tests_pass(affinity_cam):
    space = {}
    exec(compile(SNIPPETS['affinity_cam_test'], 'affinity_cam_test', 'exec'), space)
    tests = [function for name, function in space.items() if name.startswith('test_')]
    assert len(tests) == 3
    for test in tests:
        test()
