"""COCO from its annotations to a segmentor: the shipped recipe, on six made-up images and with narrow networks."""

import io
import json
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from mmwsss.analysis import CAMVisualizer
from mmwsss.datasets.coco import COCO2014Dataset
from mmwsss.recipes import RecipeContext, RecipeRunner, read_recipe, shorten_recipe
from mmwsss.utils.commands import ToolCommands

from .converters import run_converter
from .helpers import REPO, call_tool

pytest.importorskip('pycocotools', reason='COCO annotations need pycocotools')

STAGES = ('cam', 'seeds', 'psa', 'walk', 'walk-quality', 'deeplab', 'deeplab-val')
NARROW = {'model.backbone.base_channels': 4, 'model.backbone.init_cfg': None}
OVERRIDES = dict(
    cam={'model.backbone.init_cfg': None, 'model.backbone.arch': 'deit-tiny', 'model.cam_head.in_channels': 192},
    psa={**NARROW, 'model.affinity_head.in_channels': (32, 64, 256), 'model.affinity_head.channels': (4, 4, 8)},
    deeplab={**NARROW, 'model.decode_head.in_channels': 256, 'model.decode_head.channels': 8})


def write_coco(root):
    """Six images of 48 x 64, each with a box of the first and one of the last class."""
    names = COCO2014Dataset.METAINFO['classes'][1:]
    categories = [dict(id=1 + index + 10 * (index == 79), name=name) for index, name in enumerate(names)]
    generator = np.random.default_rng(0)
    for split, ids in (('train', (1, 2, 3, 4)), ('val', (5, 6))):
        images = [dict(id=k, file_name=f'COCO_{split}2014_{k:012d}.jpg', height=48, width=64) for k in ids]
        boxes = [dict(image_id=k, category_id=category, iscrowd=0,
                      segmentation=[[x, 8, x + 20, 8, x + 20, 40, x, 40]])
                 for k in ids for category, x in ((1, 4), (90, 38))]
        path = root / f'annotations/instances_{split}2014.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dict(images=images, annotations=boxes, categories=categories)))
        (root / f'{split}2014').mkdir()
        for image in images:
            pixels = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / f'{split}2014' / image['file_name'])
    return root


def small(recipe):
    """Give the recipe's main stages with small batches and narrow networks, shortened."""
    loaders = {'train_dataloader.batch_size': 2, 'train_dataloader.num_workers': 0, 'val_dataloader.num_workers': 0}
    stages = [replace(stage, cfg_options={**stage.cfg_options, **OVERRIDES[stage.name], **loaders})
              if stage.name in OVERRIDES else stage for stage in recipe.stages if stage.name in STAGES]
    return shorten_recipe(replace(recipe, stages=tuple(stages)))


def run_here(command, log_file, stream, pass_fds):
    """Run the tool of a command in this process, which saves the time of its imports."""
    assert command[0] == 'python'
    call_tool(str(Path(command[1]).relative_to(REPO)), *command[2:])
    return 0


def test_every_stage(tmp_path, monkeypatch):
    root = write_coco(tmp_path / 'coco')
    run_converter('coco2014', root, '--nproc', 1)
    monkeypatch.setattr('mmwsss.recipes.runner.run_command', run_here)
    monkeypatch.setattr(CAMVisualizer, '_instance_dict', OrderedDict())  # shared by all runs of a process
    monkeypatch.chdir(tmp_path)
    recipe = small(read_recipe('configs/mctformer/recipe_coco.py'))
    context = RecipeContext(recipe, tmp_path / 'out', ToolCommands(REPO), str(root))
    records = {record['name']: record for record in RecipeRunner(context, Console(file=io.StringIO())).run()}
    assert tuple(records) == STAGES

    labels = tmp_path / 'out/walk/labels'
    for number in (1, 2, 3, 4):
        with Image.open(labels / f'COCO_train2014_{number:012d}.png') as image:
            assert image.size == (64, 48)
            assert set(np.unique(np.array(image))) <= {0, 1, 80}, 'only classes that the image shows'
    assert 0 <= records['walk-quality']['results']['pseudo/mIoU'] <= 100
    assert records['walk-quality']['split'] == 'train'
    assert 0 <= records['deeplab-val']['results']['seg/mIoU'] <= 100
    assert records['deeplab-val']['split'] == 'val'
