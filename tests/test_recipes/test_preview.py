"""What a preview says about images, batches and lengths, with and without the data."""

import io
from pathlib import Path

import pytest
from mmengine.config import Config
from rich.console import Console

from mmwsss.datasets import iterations_per_epoch
from mmwsss.recipes import RecipeContext, RecipeRunner, read_recipe
from mmwsss.recipes.preview import count_images, describe_list, describe_training
from mmwsss.utils.commands import ToolCommands

from ..helpers import REPO

AS_PUBLISHED = ' (as published; there is no such list yet)'
COCO, VOC = 'data/coco2014/ImageSets', 'data/VOCdevkit/VOC2012/ImageSets/Segmentation'


def load(name):
    return Config.fromfile(REPO / f'configs/{name}.py', format_python_code=False)


def preview(recipe, folder, num_processes=1):
    """Return the lines of a preview about each stage."""
    console = Console(file=io.StringIO(), width=400)
    context = RecipeContext(read_recipe(recipe), folder / 'out', ToolCommands(REPO, num_processes))
    RecipeRunner(context, console).preview()
    lines, found = console.file.getvalue().splitlines(), {}
    for line in lines:
        if line.startswith('# '):
            if not line.startswith('#  '):
                name = line.split()[1]
            else:
                found.setdefault(name, []).append(line[1:].strip())
    return found


@pytest.mark.parametrize(('recipe', 'stage', 'lines'), [
    ('toco/recipe_voc', 'toco', [
        f'images: {VOC}/trainaug.txt, 10,582 images', 'batch: 4 images, 1 x 4; losses count in groups of 2 images',
        'length: 20,000 iterations, 7.6 epochs', f'validation: {VOC}/val.txt, 1,449 images']),
    ('toco/recipe_coco', 'toco', [
        f'images: {COCO}/train.txt, 82,081 images', 'batch: 8 images, 1 x 8; losses count in groups of 2 images',
        'length: 80,000 iterations, 7.8 epochs', f'validation: {COCO}/val_part.txt, 5,000 images']),
    ('mctformer/recipe_coco', 'cam', [
        f'images: {COCO}/train_all.txt, 82,783 images', 'batch: 64 images, 1 x 64',
        'length: 60 epochs of 1,293 iterations, 77,580 in all', f'validation: {COCO}/val_part.txt, 5,000 images']),
    ('mctformer/recipe_coco', 'maps', [f'images: {COCO}/train.txt, 82,081 images']),
    ('mctformer/recipe_coco', 'seeds', [f'images: {COCO}/train.txt, 82,081 images']),
    ('mctformer/recipe_coco', 'deeplab', [
        f'images: {COCO}/train.txt, 82,081 images', 'batch: 4 images, 1 x 4', 'length: 307,800 iterations, 15.0 epochs',
        f'validation: {COCO}/val_part.txt, 5,000 images']),
    ('mctformer/recipe_voc', 'seeds-quality', [f'images: {VOC}/train.txt, 1,464 images']),
    ('weaktr/recipe_coco', 'segmenter', [
        f'images: {COCO}/train.txt, 82,081 images', 'batch: 4 images, 1 x 4; losses count in groups of 1 image',
        'length: 100 epochs of 20,521 iterations, 2,052,100 in all', f'validation: {COCO}/val_part.txt, 5,000 images']),
    ('weaktr/recipe_voc', 'segmenter', [
        f'images: {VOC}/trainaug.txt, 10,582 images', 'batch: 4 images, 1 x 4',
        'length: 100 epochs of 2,646 iterations, 264,600 in all', f'validation: {VOC}/val.txt, 1,449 images'])])
def test_published_lists_batches_and_lengths_are_shown_without_the_data(recipe, stage, lines, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = [line.replace(AS_PUBLISHED, '') for line in preview(f'configs/{recipe}.py', tmp_path)[stage]]
    empty = ', also those without a class' if (recipe, stage) == ('mctformer/recipe_coco', 'cam') else ''
    assert found == [lines[0] + empty, *lines[1:]]


def test_processes_share_the_batch_and_limit_the_groups(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for num_processes, expected in ((2, '4 images, 2 x 2; losses count in groups of 2 images'),
                                    (4, '4 images, 4 x 1; losses count in groups of 1 image')):
        lines = preview('configs/toco/recipe_voc.py', tmp_path, num_processes)['toco']
        assert lines[1] == f'batch: {expected}'


def test_added_batches_count_as_one_update():
    lines = describe_training(load('toco/toco_vit-b_coco_1gpu'), 1)
    assert lines[1] == ('batch: 2 images, 1 x 2; an update adds 4 batches, 8 images; losses count in groups of 2 '
                        'images')
    assert lines[2] == 'length: 320,000 iterations, 80,000 updates, 7.8 epochs'


def test_a_list_that_exists_is_counted(tmp_path):
    cfg, path = load('toco/toco_vit-b_coco'), tmp_path / 'train.txt'
    path.write_text('a\nb\n')
    assert count_images(path, cfg) == (2, '')
    assert describe_list(path, cfg) == f'{path}, 2 images'
    assert describe_list(Path('mine.txt'), cfg) == 'mine.txt, an unknown number of images (there is no such list yet)'
    cfg.train_dataloader.dataset.dataset.update(data_root=str(tmp_path), ann_file='train.txt')
    assert describe_training(cfg, 1)[2] == 'length: 80,000 iterations, 80,000.0 epochs'


@pytest.mark.parametrize(('images', 'batch', 'processes', 'drop_last', 'expected'), [
    (82783, 64, 1, True, 1293), (82783, 64, 4, True, 1293), (10582, 4, 1, False, 2646), (82081, 4, 4, False, 20520)])
def test_iterations_of_an_epoch(images, batch, processes, drop_last, expected):
    assert iterations_per_epoch(images, batch, processes, drop_last) == expected
