"""The folder in which a reader of the documentation types its commands: data sets, photographs and checkpoints.

Images are few and small. Networks are those of the configs, with random weights.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from scipy.io import savemat

from mmwsss.apis.configs import strip_pretrained
from mmwsss.datasets import ImageLabels, read_ids
from mmwsss.datasets.class_names import read_class_names
from mmwsss.datasets.coco import COCO_CATEGORY_IDS, COCO_CLASSES
from mmwsss.datasets.config import override_data
from mmwsss.datasets.map_files import write_label_map
from mmwsss.registry import MODELS
from mmwsss.utils.cli import find_config

from .converters import load_converter
from .helpers import CLASSES, draw_scene, run_tool, write_voc_folder

NUM_TRAIN, NUM_VAL = 4, 2
VOC, SBD, COCO = 'data/VOCdevkit/VOC2012', 'data/VOCdevkit/benchmark_RELEASE', 'data/coco2014'
CLASS_NAMES = {1: 'aeroplane', 2: 'bicycle'}
SIZE = (96, 128)
PHOTO_CLASSES = ('cat', 'dog', 'sofa')


def write_reader_folder(root: Path) -> None:
    """Write all that the pages expect before their first command."""
    run_tool('tools/dataset_converters/make_sample.py', 'data/sample', '--num-train', 8, '--num-val', 4, cwd=root)
    write_voc(root)
    write_coco(root)
    for converter, *arguments in (
            ('voc_aug', VOC.rpartition('/')[0], SBD, '--script', 'voc_aug_of_mmseg.py'),
            ('coco2014', COCO, '--style', 'coco2voc')):
        run_tool(f'tools/dataset_converters/{converter}.py', *arguments, cwd=root)
    for name in ('photos', 'more_photos', 'test_photos'):
        write_photos(root / name)
    write_photos(root / 'data/photos', masks=True)
    write_photos(root / 'my_photos', read_class_names(str(root / 'data/sample/classes.txt')))
    for name in ('data/msrc15', 'my_data'):
        folder = write_voc_folder(root / name, NUM_TRAIN, NUM_VAL, SIZE)
        tags = {image_id: [CLASSES[0]] for image_id in read_ids(folder / 'ImageSets/Segmentation/train.txt')}
        ImageLabels(CLASSES, tags).save(folder / 'image_labels.json')
    shutil.copy(root / 'photos/tags.csv', root)


def write_voc(root: Path) -> None:
    """Write VOC 2012 with the Semantic Boundaries Dataset as they are after unpacking."""
    voc = write_voc_folder(root / VOC, NUM_TRAIN, NUM_VAL, SIZE)
    ids = sorted(path.stem for path in (voc / 'JPEGImages').iterdir())
    train, val = ids[:NUM_TRAIN], ids[NUM_TRAIN:]
    (voc / 'ImageSets/Segmentation/train.txt').write_text('\n'.join(train[1:]) + '\n')
    (voc / f'SegmentationClass/{train[0]}.png').rename(voc / f'../{train[0]}.png')  # only SBD has its mask
    (root / SBD / 'dataset/cls').mkdir(parents=True)
    (voc / 'Annotations').mkdir()
    for image_id in ids:
        folder = voc / ('..' if image_id == train[0] else 'SegmentationClass')
        mask = read_mask(folder / f'{image_id}.png')
        record = np.array([(mask, )], dtype=[('Segmentation', object)])
        savemat(root / SBD / f'dataset/cls/{image_id}.mat', dict(GTcls=record))
        objects = [f'<object><name>{CLASS_NAMES[k]}</name><difficult>0</difficult></object>' for k in labels(mask)]
        (voc / f'Annotations/{image_id}.xml').write_text(f'<annotation>{"".join(objects)}</annotation>')
    for split, chosen in (('train', train), ('val', val)):
        (root / SBD / f'dataset/{split}.txt').write_text('\n'.join(chosen) + '\n')
    script = load_converter('voc_aug').find_script(None).read_text()
    (root / 'voc_aug_of_mmseg.py').write_text(script.replace('AUG_LEN = 10582', f'AUG_LEN = {NUM_TRAIN}'))
    vectors = {image_id: np.eye(20)[0] for image_id in ids}
    np.save(root / 'cls_labels_onehot.npy', vectors, allow_pickle=True)


def write_coco(root: Path) -> None:
    """Write COCO 2014 as it is after unpacking."""
    categories = [dict(id=number, name=name) for number, name in zip(COCO_CATEGORY_IDS, COCO_CLASSES)]
    (root / COCO / 'annotations').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, count, first in (('train', NUM_TRAIN, 1), ('val', NUM_VAL, 100)):
        (root / COCO / f'{split}2014').mkdir()
        images, annotations = [], []
        for number in range(first, first + count):
            name = f'COCO_{split}2014_{number:012d}.jpg'
            Image.fromarray(draw_scene(rng, SIZE, [1])[0]).save(root / COCO / f'{split}2014' / name)
            images.append(dict(id=number, file_name=name, height=SIZE[0], width=SIZE[1]))
            annotations.append(dict(id=number, image_id=number, category_id=1 + number % 2, iscrowd=0, area=900.,
                                    segmentation=[[20, 20, 60, 20, 60, 60, 20, 60]]))
        content = dict(images=images, annotations=annotations, categories=categories)
        (root / COCO / f'annotations/instances_{split}2014.json').write_text(json.dumps(content))


def write_photos(folder: Path, classes: Sequence[str] = PHOTO_CLASSES, masks: bool = False) -> None:
    """Write photographs of three classes, their tags in a table and as image labels, lists of them, and maybe masks."""
    (folder / 'images').mkdir(parents=True)
    rng = np.random.default_rng(0)
    tags = {}
    for number in range(6):
        tags[f'photo_{number}'] = [classes[number % 3]]
        image, mask = draw_scene(rng, SIZE, (1, 2)[:1 + number % 2])
        Image.fromarray(image).save(folder / f'images/photo_{number}.jpg')
        if masks:
            write_label_map(mask, folder / f'masks/photo_{number}.png')
    (folder / 'tags.csv').write_text('image,tags\n' + ''.join(f'images/{k}.jpg,{v[0]}\n' for k, v in tags.items()))
    (folder / 'train.txt').write_text('\n'.join(list(tags)[:NUM_TRAIN]) + '\n')
    (folder / 'val.txt').write_text('\n'.join(list(tags)[NUM_TRAIN:]) + '\n')
    (folder / 'classes.txt').write_text('\n'.join(classes) + '\n')
    ImageLabels(classes, tags).save(folder / 'image_labels.json')
    ImageLabels(classes, {f'images/{image_id}': names for image_id, names in tags.items()}).save(
        folder / 'labels_by_path.json')


def read_mask(path: Path) -> np.ndarray:
    """Read an index mask."""
    with Image.open(path) as image:
        return np.array(image)


def labels(mask: np.ndarray) -> list[int]:
    """Return the classes that a mask shows."""
    return [k for k in np.unique(mask).tolist() if k in CLASS_NAMES]


def write_checkpoint(config: str, path: Path, part: str = '', classes: Optional[str] = None) -> None:
    """Write a checkpoint of a config's model with random weights, or of a part of it, such as ``'backbone.'``.

    Args:
        config: The config.
        path: Of the checkpoint.
        part: How the names of its parameters begin. Defaults to all parameters.
        classes: The classes, as ``--classes`` takes them. Defaults to those of the config.
    """
    cfg = Config.fromfile(find_config(config), format_python_code=False)
    if classes is not None:
        override_data(cfg, classes=classes)
    init_default_scope(cfg.get('default_scope', 'mmwsss'))
    strip_pretrained(cfg.model, keep_local=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = MODELS.build(cfg.model).state_dict()
    chosen = {name.removeprefix(part): value for name, value in weights.items() if name.startswith(part)}
    torch.save(dict(state_dict=chosen, meta={}), path)


def write_pseudo_labels(folder: Path, images: Path, ids: list[str]) -> None:
    """Write pseudo labels of JPEG images, in which each image has one class."""
    for image_id in ids:
        with Image.open(images / f'{image_id}.jpg') as image:
            mask = np.zeros((image.height, image.width), np.uint8)
        mask[image.height // 4:image.height // 2] = 1
        write_label_map(mask, folder / f'{image_id}.png')
