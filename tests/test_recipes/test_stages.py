"""The commands of the stages, and what is read from what they leave."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmwsss.recipes import STAGE_KINDS, Place, RecipeError, Tools, num_processes, read_recipe, stage_fingerprint
from mmwsss.recipes.launch import cfg_option_words

from ..helpers import REPO, write_config, write_voc_folder

V2 = 'configs/mctformer/mctformer-v2_vit-micro_sample.py'
FCN = 'configs/mctformer/retrain_fcn_vit-micro_sample.py'
STAGES = [
    dict(name='data', kind='script', script='dataset_converters/make_sample.py', args=['{data_root}'],
         creates=['{data_root}/image_labels.json']),
    dict(name='cam', kind='train', config=V2, cfg_options={'model.cam_head.affinity_layers': [0, 1]}),
    dict(name='val', kind='test', checkpoint='cam', args=['--tta']),
    dict(name='table', kind='cam-table', checkpoint='cam', cfg_options={'model.cam_head.fusion': 'mean'}),
    dict(name='labels', kind='pseudo-labels', checkpoint='cam', args=['--post', 'crf']),
    dict(name='quality', kind='evaluate-labels', labels='labels'),
    dict(name='fcn', kind='train', config=FCN, labels='labels'),
]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Give the recipe above on one process, with its output in ``out``, from an empty working folder."""
    monkeypatch.chdir(tmp_path)
    recipe = read_recipe(write_config(dict(title='Some', data_root='data/sample', stages=STAGES), tmp_path / 'r.py'))
    return Place(recipe, tmp_path / 'out', Tools(REPO))


def words(place, name):
    stage = place.recipe.stage(name)
    found, = STAGE_KINDS[stage.kind].commands(stage, place)
    return ' '.join(found).replace(f'{REPO}/', '')


def test_commands_of_one_process(place):
    assert words(place, 'data') == 'python tools/dataset_converters/make_sample.py data/sample'
    assert words(place, 'cam') == (f'python tools/train.py {V2} --work-dir out/cam --resume --cfg-options '
                                   'model.cam_head.affinity_layers=[0,1]')
    assert words(place, 'val') == (f'python tools/test.py {V2} out/cam/epoch_8.pth --work-dir out/val --tta '
                                   '--cfg-options model.cam_head.affinity_layers=[0,1]')
    assert words(place, 'table') == (
        f'python tools/analysis_tools/cam_table.py {V2} out/cam/epoch_8.pth --split train --work-dir out/table --out '
        'out/table/table --plot out/table/plot.png --cfg-options model.cam_head.affinity_layers=[0,1] '
        'model.cam_head.fusion=mean')
    assert words(place, 'labels') == (
        f'python tools/make_pseudo_labels.py {V2} out/cam/epoch_8.pth --out-dir out/labels/labels --post crf '
        '--cfg-options model.cam_head.affinity_layers=[0,1]')
    assert words(place, 'quality') == (
        'python tools/eval_pseudo_labels.py --gt-dir data/sample/SegmentationClass --split '
        'data/sample/ImageSets/Segmentation/train.txt --label-dir out/labels/labels --classes data/sample/classes.txt '
        '--json out/quality/quality.json')
    assert words(place, 'fcn') == (f'python tools/train.py {FCN} --work-dir out/fcn --resume --cfg-options '
                                   'train_dataloader.dataset.pseudo_label_dir=out/labels/labels')


PSA = 'configs/psa/psa_wr38_coco.py'
COCO_STAGES = [
    dict(name='cam', kind='train', config='configs/mctformer/mctformer-v2_deit-s_coco.py'),
    dict(name='seeds', kind='pseudo-labels', checkpoint='cam', args=['--save-cams']),
    dict(name='psa', kind='train', config=PSA, labels='seeds'),
    dict(name='walk', kind='pseudo-labels', checkpoint='psa', cams='seeds', args=['--post', 'random-walk']),
    dict(name='train-quality', kind='evaluate-labels', labels='walk'),
    dict(name='val-quality', kind='evaluate-labels', labels='walk', split='val'),
]


def test_saved_maps_walk_and_are_judged_by_the_masks_of_their_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_config(dict(title='COCO', stages=COCO_STAGES), tmp_path / 'r.py')
    place = Place(read_recipe(path), tmp_path / 'out', Tools(REPO))
    assert words(place, 'psa').endswith('train_dataloader.dataset.pseudo_label_dir=out/seeds/labels')
    assert words(place, 'walk') == (
        f'python tools/make_pseudo_labels.py {PSA} out/psa/epoch_5.pth --out-dir out/walk/labels --cams '
        'out/seeds/labels --post random-walk')
    masks = '--gt-dir data/coco2014/SegmentationClass/'
    assert f'{masks}train2014 --split data/coco2014/ImageSets/train.txt' in words(place, 'train-quality')
    assert f'{masks}val2014 --split data/coco2014/ImageSets/val' in words(place, 'val-quality')
    with pytest.raises(RecipeError, match="cams must name an earlier stage that gives it, got 'cam'; there are seeds"):
        read_recipe(write_config(dict(title='COCO', stages=[*COCO_STAGES[:3], {**COCO_STAGES[3], 'cams': 'cam'}]),
                                 tmp_path / 'wrong.py'))


def test_several_processes_share_the_batch(place):
    place.tools.processes = 4
    assert words(place, 'cam') == (f'bash tools/dist_train.sh {V2} 4 --work-dir out/cam --resume --cfg-options '
                                   'model.cam_head.affinity_layers=[0,1] train_dataloader.batch_size=2')
    assert words(place, 'val').startswith(f'bash tools/dist_test.sh {V2} out/cam/epoch_8.pth 4 --work-dir')
    assert words(place, 'labels').startswith(
        'python -m torch.distributed.run --standalone --nproc-per-node 4 tools/make_pseudo_labels.py')
    assert words(place, 'labels').endswith(' --launcher pytorch')
    assert words(place, 'quality').startswith('python tools/eval_pseudo_labels.py')
    place.tools.processes = 3
    with pytest.raises(RecipeError, match='stage cam: a batch of 8 images cannot be spread over 3 processes'):
        words(place, 'cam')


def test_other_data(place, tmp_path):
    place.data_root = 'other'
    assert words(place, 'data').endswith('make_sample.py other')
    assert '--data-root other' in words(place, 'cam')
    assert '--gt-dir other/SegmentationClass --split other/ImageSets/Segmentation/train.txt' in words(place, 'quality')
    (tmp_path / 'other').mkdir()
    with pytest.raises(RecipeError, match='stage cam, config .*: .*other'):
        words(place, 'cam')


def test_a_training_without_its_validation_is_tested(place):
    folder = place.out / 'cam'
    log = folder / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"loss": 1.0, "step": 8}\n{"cam/mIoU": 10.0, "step": 4}\n{"cam/mI')
    assert ' --resume ' in words(place, 'cam')
    with pytest.raises(RecipeError, match='stage cam has ended without a validation after the last iteration'):
        STAGE_KINDS['train'].results(place.recipe.stage('cam'), place)
    (folder / 'epoch_8.pth').touch()
    assert words(place, 'cam').startswith(f'python tools/test.py {V2} out/cam/epoch_8.pth --work-dir out/cam')
    kind, stage = STAGE_KINDS['train'], place.recipe.stage('cam')
    tested = folder / '20260101_000001/20260101_000001.json'
    tested.parent.mkdir()
    tested.write_text(json.dumps({'cam/mIoU': 30.125, 'time': 1.0}))
    assert kind.results(stage, place) == {'cam/mIoU': 30.12}
    log.write_text(log.read_text() + '\n{"cam/mIoU": 20.0, "time": 0.1, "step": 8}\n')
    assert kind.results(stage, place) == {'cam/mIoU': 20.}
    assert ' --resume ' in words(place, 'cam')


def test_table_rows_become_metrics(place):
    path = place.out / 'table/table.json'
    path.parent.mkdir(parents=True)
    rows = [dict(map='cams', setting={}, mIoU=30.123, oracle_mIoU=31.),
            dict(map='cams', setting={'model.cam_head.attention_layers': 2}, mIoU=None, oracle_mIoU=32.)]
    path.write_text(json.dumps(dict(rows=rows)))
    assert STAGE_KINDS['cam-table'].results(place.recipe.stage('table'), place) == {
        'cams cam/mIoU': 30.12, 'cams cam/oracle_mIoU': 31., 'cams attention_layers=2 cam/oracle_mIoU': 32.}


def test_fingerprints_know_content_not_processes(place, tmp_path):
    def fingerprint():
        return stage_fingerprint(place.recipe.stage('labels'), place, {'cam': 'digest'})

    first = fingerprint()
    place.tools.processes = 2
    place.out = tmp_path / 'elsewhere'
    assert fingerprint() == first
    assert stage_fingerprint(place.recipe.stage('labels'), place, {'cam': 'other'}) != first
    listed = tmp_path / 'data/sample/ImageSets/Segmentation/train.txt'
    listed.parent.mkdir(parents=True)
    listed.write_text('a\n')
    second = fingerprint()
    listed.write_text('b\n')
    assert len({first, second, fingerprint()}) == 3


def test_labels_need_a_config_that_takes_them(place, tmp_path):
    stages = [*STAGES[:5], dict(STAGES[1], name='again', labels='labels')]
    place.recipe = read_recipe(write_config(dict(title='Some', stages=stages), tmp_path / 'wrong.py'))
    with pytest.raises(RecipeError, match='stage again is to be trained on pseudo labels, but .* no Pseudo'):
        words(place, 'again')


def test_masks_drawn_beside_labels(place, tmp_path):
    root = write_voc_folder(tmp_path / 'data/sample')
    (root / 'image_labels.json').write_text('{}')
    labels = place.out / 'labels/labels'
    labels.mkdir(parents=True)
    for path in (root / 'SegmentationClass').glob('*.png'):
        (labels / path.name).write_bytes(path.read_bytes())
    (place.out / 'quality').mkdir()
    sheet = STAGE_KINDS['evaluate-labels'].pictures(place.recipe.stage('quality'), place)
    cells = np.array(Image.open(sheet))
    left, right = cells[60:240, 256:496], cells[60:240, 500:740]
    assert np.array_equal(left, right), 'labels that equal the masks look like them'
    assert len(np.unique(left.reshape(-1, 3), axis=0)) > 2


@pytest.mark.parametrize(('value', 'word'), [
    ([0, 1], 'k=[0,1]'), (None, 'k=None'), (True, 'k=True'), (['a', [1, 2]], 'k=[a,[1,2]]'), ('x', 'k=x')])
def test_option_words(value, word):
    assert cfg_option_words({'k': value}) == ['--cfg-options', word]


def test_option_words_of_nothing_and_of_dictionaries():
    assert cfg_option_words({}) == []
    with pytest.raises(ValueError, match='k is a dictionary: give its parts dotted keys'):
        cfg_option_words({'k': {'a': 1}})


def test_number_of_processes(monkeypatch):
    assert num_processes(4) == 4
    with pytest.raises(ValueError, match='--gpus must be 1 or more, got 0'):
        num_processes(0)
    monkeypatch.setattr('mmwsss.recipes.launch.get_device', lambda: 'cpu')
    monkeypatch.setattr('os.cpu_count', lambda: 8)
    assert num_processes() == 2
    monkeypatch.setattr('os.cpu_count', lambda: 1)
    assert num_processes() == 1
    monkeypatch.setattr('mmwsss.recipes.launch.get_device', lambda: 'cuda')
    assert num_processes() == 1


RECIPES = sorted(path.relative_to(REPO) for path in REPO.glob('configs/*/recipe_*.py'))


def test_there_are_recipes():
    assert Path('configs/mctformer/recipe_sample.py') in RECIPES


@pytest.mark.parametrize('path', RECIPES, ids=str)
def test_shipped_recipes_build(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = Place(read_recipe(path), tmp_path / 'out', Tools(REPO, 2))
    for stage in place.recipe.stages:
        for command in STAGE_KINDS[stage.kind].commands(stage, place):
            script = next(word for word in command if '/tools/' in word)
            assert (REPO / script).is_file()
            known = flags_of(script)
            assert {word for word in command if word.startswith('--') and word[2:] not in LAUNCH} <= known, command
        if place.config_name(stage):
            cfg = place.config(stage)
            for key in stage.cfg_options:
                assert holds(cfg, key.split('.')[:-1]), f'{stage.name}: no {key}'


LAUNCH = ('standalone', 'nproc-per-node')


def flags_of(script):
    script = re.sub(r'dist_(\w+)\.sh', r'\1.py', script)
    source = Path(script).read_text() + (REPO / 'mmwsss/utils/cli.py').read_text()
    return set(re.findall(r"'(--[\w-]+)'", source))


def holds(node, keys):
    """Whether there is a dictionary where an override writes to."""
    for key in keys:
        if key not in node:
            return False
        node = node[key]
    return True
