"""The commands of the stages, and the results that are read from their outputs."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmwsss.recipes import RecipeContext, RecipeError, read_recipe
from mmwsss.utils.commands import ToolCommands
from mmwsss.utils.results import write_results

from ..helpers import REPO, write_voc_folder

V2 = 'configs/mctformer/mctformer-v2_vit-micro_sample.py'
FCN = 'configs/mctformer/retrain_fcn_vit-micro_sample.py'


def command(context, name):
    return ' '.join(context.recipe.stage(name).command(context)).replace(f'{REPO}/', '')


def test_commands_of_one_process(context):
    assert command(context, 'data') == 'python tools/dataset_converters/make_sample.py data/sample'
    assert command(context, 'cam') == (f'python tools/train.py {V2} --work-dir out/cam --resume --cfg-options '
                                       'model.cam_head.affinity_layers=[0,1]')
    assert command(context, 'val') == (f'python tools/test.py {V2} out/cam/epoch_8.pth --work-dir out/val --tta '
                                       '--cfg-options model.cam_head.affinity_layers=[0,1]')
    assert command(context, 'table') == (
        f'python tools/analyze.py cam-table {V2} out/cam/epoch_8.pth --split train --out out/table '
        '--cfg-options model.cam_head.affinity_layers=[0,1] model.cam_head.fusion=mean')
    assert command(context, 'labels') == (
        f'python tools/make_pseudo_labels.py {V2} out/cam/epoch_8.pth --out-dir out/labels/labels --post crf '
        '--cfg-options model.cam_head.affinity_layers=[0,1]')
    assert command(context, 'quality') == (
        'python tools/eval_pseudo_labels.py --gt-dir data/sample/SegmentationClass --split '
        'data/sample/ImageSets/Segmentation/train.txt --label-dir out/labels/labels --classes data/sample/classes.txt '
        '--json out/quality/results.json')
    assert command(context, 'fcn') == (f'python tools/train.py {FCN} --work-dir out/fcn --resume --cfg-options '
                                       'train_dataloader.dataset.pseudo_label_dir=out/labels/labels')


def test_classes_image_labels_and_a_list_of_the_recipe(make_context, tmp_path):
    data = write_voc_folder(tmp_path / 'data')
    context = make_context(
        [dict(name='cam', kind='train', config='configs/mctformer/mctformer-v2_dinov2-s_photos.py'),
         dict(name='table', kind='cam-table', checkpoint='cam', split='{out}/some.txt')],
        classes='{data_root}/classes.txt', label_file='{out}/labels.json')
    context.data_root = str(data)
    assert context.config(context.recipe.stage('cam')).model.cam_head.num_classes == 2
    flags = '--data-root data --classes data/classes.txt --label-file out/labels.json'
    assert flags.replace('data/c', f'{data}/c') in ' '.join(context.recipe.stage('cam').command(context))
    table = context.recipe.stage('table')
    assert '--split out/some.txt' in ' '.join(table.command(context))
    assert table.split_name(context) == 'some'


PSA = 'configs/psa/psa_wr38_coco.py'
COCO_STAGES = [
    dict(name='cam', kind='train', config='configs/mctformer/mctformer-v2_deit-s_coco.py'),
    dict(name='seeds', kind='pseudo-labels', checkpoint='cam', args=['--save-cams']),
    dict(name='psa', kind='train', config=PSA, labels='seeds'),
    dict(name='walk', kind='pseudo-labels', checkpoint='psa', cams='seeds', args=['--post', 'random-walk']),
    dict(name='train-quality', kind='evaluate-labels', labels='walk'),
    dict(name='val-quality', kind='evaluate-labels', labels='walk', split='val'),
]


def test_random_walk_of_saved_cams_is_evaluated_on_the_masks_of_its_images(make_context):
    context = make_context(COCO_STAGES)
    assert command(context, 'psa').endswith('train_dataloader.dataset.pseudo_label_dir=out/seeds/labels')
    assert command(context, 'walk') == (
        f'python tools/make_pseudo_labels.py {PSA} out/psa/epoch_5.pth --out-dir out/walk/labels --cams '
        'out/seeds/labels --post random-walk')
    masks = '--gt-dir data/coco2014/SegmentationClass/'
    assert f'{masks}train2014 --split data/coco2014/ImageSets/train.txt' in command(context, 'train-quality')
    assert f'{masks}val2014 --split data/coco2014/ImageSets/val' in command(context, 'val-quality')


def test_several_processes_share_the_batch(context):
    context.tools.num_processes = 4
    assert command(context, 'cam') == (f'bash tools/dist_train.sh {V2} 4 --work-dir out/cam --resume --cfg-options '
                                       'model.cam_head.affinity_layers=[0,1] train_dataloader.batch_size=2')
    assert command(context, 'val').startswith(f'bash tools/dist_test.sh {V2} out/cam/epoch_8.pth 4 --work-dir')
    assert command(context, 'labels').startswith(
        'python tools/launch.py --standalone --nproc-per-node 4 tools/make_pseudo_labels.py')
    assert command(context, 'labels').endswith(' --launcher pytorch')
    assert command(context, 'quality').startswith('python tools/eval_pseudo_labels.py')
    context.tools.num_processes = 3
    with pytest.raises(RecipeError, match='stage cam: a batch of 8 images cannot be divided among 3 processes'):
        command(context, 'cam')


def test_other_data(context, tmp_path):
    context.data_root = 'other'
    assert command(context, 'data').endswith('make_sample.py other')
    assert '--data-root other' in command(context, 'cam')
    assert command(context, 'quality').startswith('python tools/eval_pseudo_labels.py --gt-dir other/SegmentationClass '
                                                  '--split other/ImageSets/Segmentation/train.txt ')
    (tmp_path / 'other').mkdir()
    with pytest.raises(RecipeError, match='stage cam, config .*: .*other'):
        command(context, 'cam')


def test_a_training_without_its_last_validation_is_tested(context):
    stage, folder = context.recipe.stage('cam'), context.work_dir / 'cam'
    write_results(folder / 'results.json', 'train.py', {'cam/mIoU': 10.}, epoch=4, iter=8)
    assert ' --resume ' in command(context, 'cam')
    with pytest.raises(RecipeError, match='stage cam ended without a validation after the last iteration'):
        stage.results(context)
    (folder / 'epoch_8.pth').touch()
    assert command(context, 'cam').startswith(
        f'python tools/test.py {V2} out/cam/epoch_8.pth --work-dir out/cam/test --cfg-options')
    write_results(folder / 'test/results.json', 'test.py', {'cam/mIoU': 30.125, 'cam/FP': float('nan')})
    assert stage.results(context) == {'cam/mIoU': 30.12}
    write_results(folder / 'results.json', 'train.py', {'cam/mIoU': 20.}, epoch=8, iter=16)
    assert stage.results(context) == {'cam/mIoU': 20.}
    assert ' --resume ' in command(context, 'cam')


@pytest.mark.parametrize(('name', 'path'), [
    ('val', 'val/results.json'), ('table', 'table/cam-table.json'), ('labels', 'labels/labels/results.json'),
    ('quality', 'quality/results.json')])
def test_results_are_those_of_the_tool(context, name, path):
    stage = context.recipe.stage(name)
    assert stage.results(context) == {}
    write_results(context.work_dir / path, 'some.py', {'some/metric': 1.234})
    assert stage.results(context) == {'some/metric': 1.23}


def test_labels_need_a_config_that_takes_them(make_context, sample_stages):
    context = make_context([*sample_stages[1:5], dict(sample_stages[1], name='again', labels='labels')])
    with pytest.raises(RecipeError, match='stage again has labels to train on, but .* is not a PseudoLabelDataset'):
        command(context, 'again')


def test_figure_of_labels_beside_masks(context, tmp_path):
    root = write_voc_folder(tmp_path / 'data/sample')
    (root / 'image_labels.json').write_text('{}')
    labels = context.work_dir / 'labels/labels'
    labels.mkdir(parents=True)
    for path in (root / 'SegmentationClass').glob('*.png'):
        (labels / path.name).write_bytes(path.read_bytes())
    (context.work_dir / 'quality').mkdir()
    sheet = context.recipe.stage('quality').figure(context)
    cells = np.array(Image.open(sheet))
    left, right = cells[60:240, 256:496], cells[60:240, 500:740]
    assert np.array_equal(left, right), 'labels that equal the masks look like them'
    assert len(np.unique(left.reshape(-1, 3), axis=0)) > 2


RECIPES = sorted(path.relative_to(REPO) for path in REPO.glob('configs/*/recipe_*.py'))


def test_there_are_recipes():
    assert Path('configs/mctformer/recipe_sample.py') in RECIPES


@pytest.mark.parametrize('path', RECIPES, ids=str)
def test_commands_of_shipped_recipes(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    context = RecipeContext(read_recipe(path), tmp_path / 'out', ToolCommands(REPO, 2))
    for stage in context.recipe.stages:
        arguments = stage.command(context)
        script = next(word for word in arguments if '/tools/' in word and 'launch.py' not in word)
        assert (REPO / script).is_file()
        flags = {argument for argument in arguments if argument.startswith('--') and argument[2:] not in LAUNCH}
        assert flags <= flags_of(script), arguments
        if context.config_name(stage):
            cfg = context.config(stage)
            for key in stage.cfg_options:
                assert holds(cfg, key.split('.')[:-1]), f'{stage.name}: no {key}'


LAUNCH = ('standalone', 'nproc-per-node')


def flags_of(script):
    script = re.sub(r'dist_(\w+)\.sh', r'\1.py', script)
    source = Path(script).read_text() + (REPO / 'mmwsss/utils/cli.py').read_text()
    return set(re.findall(r"'(--[\w-]+)'", source))


def holds(node, keys):
    """Return whether the config has the dictionary in which an override sets a value."""
    for key in keys:
        if isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        elif key in node:
            node = node[key]
        else:
            return False
    return True


def test_labels_with_category_ids_are_compared_with_masks_of_classes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, expected in (('weaktr', ['--num-classes', '91', '--category-ids']), ('aream', ['--num-classes', '81'])):
        recipe = read_recipe(f'configs/{name}/recipe_coco.py')
        context = RecipeContext(recipe, tmp_path / 'out', ToolCommands(REPO))
        stage = next(stage for stage in recipe.stages if stage.kind == 'evaluate-labels')
        arguments = stage.command(context)
        place = arguments.index('--num-classes')
        assert arguments[place:arguments.index('--json')] == expected
