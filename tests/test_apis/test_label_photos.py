"""label_photos: tagged photographs to a plan, configs and a recipe, and in the end to masks and a page."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from rich.console import Console

from mmwsss.analysis.tag_check import can_check_tags
from mmwsss.apis import init_model, label_photos
from mmwsss.apis.photo_labels import PRESETS, build_runner, plan_photos, read_tags
from mmwsss.apis.photo_times import measure_stages
from mmwsss.recipes import RecipeContext, read_recipe
from mmwsss.utils import OutputError
from mmwsss.utils.commands import ToolCommands
from mmwsss.utils.errors import UserError
from tests.helpers import run_tool, write_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two class folders with four photographs each."""
    write_photos(tmp_path / 'photos', 4)
    return tmp_path / 'photos'


def table(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_folders_are_classes_unless_there_is_a_table(photos: Path, tmp_path: Path):
    assert read_tags(photos).labels['disc/0'] == ('disc', )
    tags = table(tmp_path / 'tags.csv', 'file,tags\ndisc/0.jpg,round;red\nbar/1.jpg,long\n')
    labels = read_tags(photos, tags)
    assert set(labels.classes) == {'round', 'red', 'long'}
    plan = plan_photos(photos, tmp_path / 'out', tags)
    assert set(plan.labels.labels) == {'disc/0', 'bar/1'}
    assert len(plan.untagged) == 6
    assert (tmp_path / 'out/data/train.txt').read_text().split() == ['bar/1', 'disc/0']


def test_image_labels_of_mmwsss_and_tables_in_json(photos: Path, tmp_path: Path):
    ours = table(tmp_path / 'a.json', '{"classes": ["cat"], "labels": {"disc/0": ["cat"]}}')
    assert read_tags(photos, ours).labels == {'disc/0': ('cat', )}
    assert read_tags(photos, table(tmp_path / 'b.json', '{"disc/0.jpg": ["cat"]}')).labels == {'disc/0': ('cat', )}
    with pytest.raises(ValueError, match='dog'):  # named, and not taken for a table
        read_tags(photos, table(ours, '{"classes": ["cat"], "labels": {"disc/0": ["dog"]}}'))


def test_maps_and_masks_of_lower_precision(photos: Path, tmp_path: Path):
    recipe = read_recipe(plan_photos(photos, tmp_path / 'out', amp='bf16', device='cpu').recipe)
    with_amp = [stage.name for stage in recipe.stages if list(stage.args or ())[-2:] == ['--amp', 'bf16']]
    assert with_amp == ['threshold', 'labels', 'predict']
    with pytest.raises(UserError, match='amp fp16 takes a GPU'):
        plan_photos(photos, tmp_path / 'other', amp='fp16', device='cpu')
    assert not (tmp_path / 'other').exists()


@pytest.mark.parametrize('preset', PRESETS)
def test_plan_of_every_preset(photos: Path, tmp_path: Path, preset: str):
    plan = plan_photos(photos, tmp_path / 'out', preset=preset, epochs=3)
    recipe = read_recipe(plan.recipe)
    names = [stage.name for stage in recipe.stages if not stage.name.startswith('start-')]
    if can_check_tags():
        assert names.pop(0) == 'tags'
    assert names == (['cam', 'threshold', 'predict', 'gallery'] if preset == 'fast'
                     else ['cam', 'threshold', 'labels', 'segmentor', 'predict', 'gallery'])
    for stage in recipe.stages:
        if stage.kind == 'train':
            cfg = Config.fromfile(stage.config)
            assert cfg.train_cfg.max_epochs == 3
            assert cfg.val_dataloader is None
            cfg.model.backbone.init_cfg = None
            assert init_model(cfg).dataset_meta['classes'] == ('background', 'bar', 'disc')
    assert not any(path.suffix != '.jpg' for path in photos.rglob('*') if path.is_file())


@pytest.mark.parametrize(('config', 'given', 'expected'), [
    ('mctformer/mctformer-v2_dinov2-s_photos', dict(iters=4), 4),  # 2 epochs of one batch: twice as long
    ('toco/toco_dinov2-s_photos', dict(iters=50), 50),
    ('toco/toco_dinov2-s_photos', dict(epochs=3), 3),
    ('toco/toco_dinov2-s_photos', {}, 500)])
def test_length_in_iterations(photos: Path, tmp_path: Path, config: str, given: dict, expected: int):
    plan = plan_photos(photos, tmp_path / 'out', preset='fast', config=f'configs/{config}.py', **given)
    cfg = Config.fromfile(read_recipe(plan.recipe).stage('cam').config)
    assert cfg.train_cfg.max_iters == expected
    assert 'max_epochs' not in cfg.train_cfg
    assert not cfg.default_hooks.checkpoint.by_epoch
    warmup = {4: 20, 50: 2, 3: 1, 500: 20}[expected]
    assert cfg.param_scheduler[0].warmup == warmup
    context = RecipeContext(read_recipe(plan.recipe), plan.out_dir, ToolCommands(tmp_path, 1))
    stage = context.recipe.stage('cam')
    assert stage.provided_path(context) == plan.out_dir / f'cam/iter_{expected}.pth'


def test_a_threshold_of_the_user_replaces_the_suggestion(photos: Path, tmp_path: Path):
    recipe = read_recipe(plan_photos(photos, tmp_path / 'out', threshold=.3).recipe)
    assert 'threshold' not in [stage.name for stage in recipe.stages]
    assert recipe.stage('labels').args[:2] == ('--threshold', '0.3')


def test_photographs_without_any_class_are_trained_on(photos: Path, tmp_path: Path):
    (photos / 'disc').rename(photos / 'background')
    plan = plan_photos(photos, tmp_path / 'out', preset='fast')
    assert plan.labels.classes == ('bar', )
    assert plan.labels.labels['background/0'] == ()
    assert Config.fromfile(read_recipe(plan.recipe).stage('cam').config).train_dataloader.dataset.empty == 'keep'


def test_wrong_input_is_refused(photos: Path, tmp_path: Path):
    with pytest.raises(UserError, match='does not exist'):
        plan_photos(tmp_path / 'none', tmp_path / 'out')
    with pytest.raises(UserError, match='preset must be one of fast, balanced, best'):
        plan_photos(photos, tmp_path / 'out', preset='slow')
    with pytest.raises(OutputError, match='must not overwrite'):
        plan_photos(photos, photos)
    with pytest.raises(UserError, match='one folder for each class, or give their tags'):
        plan_photos(photos / 'disc', tmp_path / 'out')
    with pytest.raises(UserError, match='none of the 8 photographs'):
        plan_photos(photos, tmp_path / 'out', table(tmp_path / 'tags.csv', 'file,tag\nother.jpg,cat\n'))
    with pytest.raises(UserError, match='--epochs or --iters, not both'):
        plan_photos(photos, tmp_path / 'out', epochs=1, iters=1)
    with pytest.raises(UserError, match='--iters must be 1 or more, got 0'):
        plan_photos(photos, tmp_path / 'out', iters=0)
    assert not (tmp_path / 'out').exists()


@pytest.mark.usefixtures('warm_tools')
def test_from_photographs_to_masks_and_again(photos: Path, tmp_path: Path, capsys):
    out = tmp_path / 'out'
    options = dict(preset='fast', config='configs/cam/cam_vit-micro_sample.py', epochs=1)
    result = label_photos(photos, out, **options, console=Console())
    found = json.loads((result / 'predictions.json').read_text())
    assert found['classes'] == ['background', 'bar', 'disc']
    assert [entry['id'] for entry in found['images']] == [f'{name}/{k}' for name in ('bar', 'disc') for k in range(4)]
    for entry in found['images']:
        values = set(np.unique(np.array(Image.open(result / entry['mask']))).tolist())
        assert values <= {0, 1 if entry['id'].startswith('bar') else 2, 255}  # only the tagged class
    suggestion = json.loads((out / 'threshold/threshold.json').read_text())
    assert suggestion['threshold'] in suggestion['thresholds']
    assert 'explains' in suggestion['reason']
    assert Image.open(out / 'threshold/sheet.png').width > 600
    assert (out / 'gallery.html').stat().st_size > 10000
    capsys.readouterr()
    plan = plan_photos(photos, out, preset='fast', config=options['config'], epochs=1)
    console = Console(record=True)
    build_runner(plan, 1, console).run()
    lines = [line for line in console.export_text().splitlines() if line.strip()]
    assert lines[-4:] == ['cam: done', 'threshold: done', 'predict: done', 'gallery: done']
    if can_check_tags():
        assert lines[0] == 'tags: done'
        assert set(json.loads((out / 'tags/doubts.json').read_text())['images']) == set(plan.labels.labels)


def test_stages_are_measured_before_they_run(photos: Path, tmp_path: Path):
    plan = plan_photos(photos, tmp_path / 'out', preset='fast', config='configs/cam/cam_vit-micro_sample.py', iters=50)
    runner = build_runner(plan, 2, Console(quiet=True))
    work = measure_stages(runner.pending(), runner.context, plan.labels, plan.photos)
    expected = {'cam': 50, 'threshold': None, 'predict': 8, 'gallery': None}
    expected.update({'tags': None} if can_check_tags() else {})
    assert {name: one.units for name, one in work.items()} == expected
    assert all(one.seconds > 0 for one in work.values())
    assert not (tmp_path / 'out/cam').exists()


def test_dry_run_shows_the_commands(photos: Path, tmp_path: Path):
    shown = run_tool('tools/label_photos.py', photos, '--out-dir', tmp_path / 'out', '--dry-run',
                     '--no-estimate').stdout
    for text in ('8 tagged photographs', 'not measured', 'cam (train): to do', 'tools/make_pseudo_labels.py',
                 'tools/predict.py', 'tools/gallery.py'):
        assert text in ' '.join(shown.split())


def test_few_photographs_are_trained_on_for_more_epochs(photos: Path, tmp_path: Path):
    plan = plan_photos(photos, tmp_path / 'out', preset='fast')
    cfg = Config.fromfile(read_recipe(plan.recipe).stage('cam').config)
    assert cfg.train_cfg.max_epochs == cfg.train_cfg.val_interval == 90  # of one batch
