"""label_photos: tagged photographs to a plan, configs and a recipe, and in the end to masks and a page."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from rich.console import Console

from mmwsss.apis import init_model, label_photos
from mmwsss.apis.photo_labels import PRESETS, build_runner, plan_photos, read_tags
from mmwsss.recipes import read_recipe
from mmwsss.utils import OutputError
from mmwsss.utils.errors import UserError
from tests.helpers import draw_scene, run_tool


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two class folders with four photographs each."""
    rng = np.random.default_rng(0)
    for name, label in (('disc', 1), ('bar', 2)):
        (tmp_path / 'photos' / name).mkdir(parents=True)
        for k in range(4):
            image, _ = draw_scene(rng, (48, 64), [label])
            Image.fromarray(image).save(tmp_path / f'photos/{name}/{k}.jpg')
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


@pytest.mark.parametrize('preset', PRESETS)
def test_plan_of_every_preset(photos: Path, tmp_path: Path, preset: str):
    plan = plan_photos(photos, tmp_path / 'out', preset=preset, epochs=3)
    recipe = read_recipe(plan.recipe)
    names = [stage.name for stage in recipe.stages if not stage.name.startswith('start-')]
    assert names == (['cam', 'predict', 'gallery'] if preset == 'fast'
                     else ['cam', 'labels', 'segmentor', 'predict', 'gallery'])
    for stage in recipe.stages:
        if stage.kind == 'train':
            cfg = Config.fromfile(stage.config)
            assert cfg.train_cfg.max_epochs == 3
            assert cfg.val_dataloader is None
            cfg.model.backbone.init_cfg = None
            assert init_model(cfg).dataset_meta['classes'] == ('background', 'bar', 'disc')
    assert not any(path.suffix != '.jpg' for path in photos.rglob('*') if path.is_file())


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
    assert (out / 'gallery.html').stat().st_size > 10000
    capsys.readouterr()
    plan = plan_photos(photos, out, preset='fast', config=options['config'], epochs=1)
    console = Console(record=True)
    build_runner(plan, 1, console).run()
    assert [line for line in console.export_text().splitlines() if line.strip()] == [
        'cam: done', 'predict: done', 'gallery: done']


def test_dry_run_shows_the_commands(photos: Path, tmp_path: Path):
    shown = run_tool('tools/label_photos.py', photos, '--out-dir', tmp_path / 'out', '--dry-run').stdout
    for text in ('8 tagged photographs', 'cam (train): to do', 'tools/make_pseudo_labels.py', 'tools/predict.py',
                 'tools/gallery.py'):
        assert text in ' '.join(shown.split())
