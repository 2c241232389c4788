#!/usr/bin/env python
"""Prepare COCO 2014 for weakly supervised segmentation: index masks, image-level labels, split lists.

Reads ``ROOT/annotations/instances_{train,val}2014.json`` and writes below ROOT:

* ``SegmentationClass/{train,val}2014/<id>.png``: palette PNGs, 0 background, 1..80 classes, 255 ignored;
* ``image_labels.json``: image-level labels of both splits, also of the images without an object;
* ``ImageSets/{train,val}.txt``: the images with an object, by id (82,081 and 40,137);
* ``ImageSets/train_all.txt``: all training images (82,783);
* ``ImageSets/val_part.txt``: the first 5000 of val, or the list given by ``--val-part``.

Existing masks are kept: after an interruption, the same command continues.
"""

import argparse
import json
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmwsss.datasets import ImageLabels, image_id_of, labels_from_coco, read_ids
from mmwsss.datasets.coco import (
    CROWD_CHOICES,
    COCO2014Dataset,
    CocoCategories,
    paint_instances,
    paint_instances_like_coco2voc,
    read_instances,
)
from mmwsss.datasets.map_files import write_label_map
from mmwsss.datasets.published_lists import PUBLISHED_LIST_SIZES
from mmwsss.utils import first_few, write_json, write_lines
from mmwsss.utils.errors import UserError, run_tool

SPLITS = ('train', 'val')
STYLES = ('mmwsss', 'coco2voc')
VAL_PART = 5000


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('root', type=Path, help='folder that holds train2014, val2014 and annotations')
    parser.add_argument('--annotations', type=Path, metavar='DIR', help='default: ROOT/annotations')
    parser.add_argument('--style', choices=STYLES, default='mmwsss',
                        help='mmwsss (default): the object with fewer pixels lies on top, crowds as --crowd says; '
                        'coco2voc: as the tool that made the masks of published numbers paints them, crowds with their '
                        'class, the smaller area field on top, no ignored pixels')
    parser.add_argument('--crowd', choices=CROWD_CHOICES,
                        help='regions of many objects not told apart: 255 (default), left out, or their class. '
                        'Left out, they give no image label either')
    parser.add_argument('--val-part', type=Path, metavar='FILE',
                        help='list of the images for validation during training, for instance a published one; its '
                        'lines are image ids or their numbers (default: the first 5000 of val)')
    parser.add_argument('--nproc', type=int, default=os.cpu_count() or 1, help='processes (default: one per core)')
    return parser.parse_args()


def mask_jobs(data: dict, folder: Path, style: str, crowd: str) -> Iterator[tuple]:
    """Yield the remaining jobs: images without a mask, also those without an object."""
    indices = CocoCategories.from_instances(data).indices
    by_image = defaultdict(list)
    for annotation in data['annotations']:
        by_image[annotation['image_id']].append(
            {key: annotation.get(key) for key in ('segmentation', 'category_id', 'iscrowd', 'area')})
    done = set(os.listdir(folder)) if folder.is_dir() else set()
    for image in data['images']:
        name = image_id_of(image['file_name'], f'image {image["id"]}')
        path = folder / f'{name}.png'
        if path.name in done:
            continue
        if not all(isinstance(image.get(side), int) and image[side] > 0 for side in ('height', 'width')):
            raise ValueError(f'image {image["id"]} ({image["file_name"]}) has no valid height and width')
        yield path, image['height'], image['width'], by_image[image['id']], indices, style, crowd


def paint(job: tuple) -> None:
    """Paint and write one mask."""
    path, height, width, annotations, indices, style, crowd = job
    try:
        if style == 'coco2voc':
            mask = paint_instances_like_coco2voc(height, width, annotations, indices)
        else:
            mask = paint_instances(height, width, annotations, indices, crowd)
        write_label_map(mask, path)
    except (ValueError, TypeError) as error:
        raise UserError(f'annotations of {path.stem}: {error}') from error


def paint_all(jobs: list, nproc: int, title: str) -> None:
    """Paint masks in several processes, with a progress bar."""
    if nproc == 1 or len(jobs) < 2:
        for job in track(jobs, title):
            paint(job)
        return
    method = 'fork' if 'fork' in multiprocessing.get_all_start_methods() else 'spawn'
    with multiprocessing.get_context(method).Pool(nproc) as pool:
        for _ in track(pool.imap_unordered(paint, jobs, chunksize=16), title, total=len(jobs)):
            pass


def require_same_settings(root: Path, style: str, crowd: str) -> None:
    """Refuse to mix masks of two settings; save the setting before the first mask is written."""
    note = root / 'SegmentationClass' / 'settings.json'
    if note.is_file():
        settings = {'style': 'mmwsss', **json.loads(note.read_text(encoding='utf-8'))}
        for key, value in dict(style=style, crowd=crowd).items():
            if settings[key] != value:
                raise ValueError(f'{note.parent} holds masks made with another --{key} than {value}: remove it, or '
                                 'give the same setting')
    write_json(dict(style=style, crowd=crowd), note)


def convert(args: argparse.Namespace, split: str) -> ImageLabels:
    """Write the masks of one split and return the labels of all its images, ordered by id."""
    name = f'{split}2014'
    path = (args.annotations or args.root / 'annotations') / f'instances_{name}.json'
    data = read_instances(path)
    try:
        jobs = list(mask_jobs(data, args.root / 'SegmentationClass' / name, args.style, args.crowd))
    except ValueError as error:
        raise UserError(f'{path}: {error}') from error
    paint_all(jobs, args.nproc, f'{name} masks')
    labels = labels_from_coco(data, skip_crowd=args.crowd == 'skip')
    return labels.subset(sorted(labels.labels))


def with_object(labels: ImageLabels) -> list[str]:
    """Return the images that show an object."""
    return [image_id for image_id, names in labels.labels.items() if names]


def read_val_part(path: Optional[Path], val: ImageLabels) -> list[str]:
    """Return the images for validation during training.

    Args:
        path: A list of image ids such as ``COCO_val2014_000000000042`` or of their numbers; None takes the first 5000.
        val: The labels of all images of val.

    Returns:
        list[str]: Image ids, in the order of the list.

    Raises:
        FileNotFoundError: There is no such list.
        ValueError: The list names images that are not in val.
    """
    if path is None:
        return with_object(val)[:VAL_PART]
    ids = [f'COCO_val2014_{int(name):012d}' if name.isdigit() else name for name in read_ids(path)]
    unknown = [image_id for image_id in ids if image_id not in val]
    if unknown:
        raise ValueError(f'{len(unknown)} of {len(ids)} images of --val-part {path} are not in val2014: '
                         f'{first_few(unknown)}')
    return ids


def write_lists(root: Path, labels: dict[str, ImageLabels], val_part: list[str], settings: dict) -> None:
    """Write labels and split lists."""
    train, val = labels['train'], labels['val']
    if train.classes != val.classes:
        raise ValueError(f'the two instances files have different categories: {len(train.classes)} and '
                         f'{len(val.classes)}')
    lists = dict(train=with_object(train), train_all=list(train.labels), val=with_object(val), val_part=val_part)
    for name, ids in lists.items():
        write_lines(ids, root / 'ImageSets' / f'{name}.txt')
    ImageLabels(train.classes, {**train.labels, **val.labels}, dict(kind='coco', **settings)).save(
        root / 'image_labels.json')


def resolve_crowd(style: str, crowd: Optional[str]) -> str:
    """Return what crowds become in a style.

    Raises:
        ValueError: The style paints crowds with their class, but something else was asked for.
    """
    if style == 'coco2voc' and crowd not in (None, 'label'):
        raise ValueError(f'--style coco2voc paints crowds with their class: leave out --crowd {crowd}')
    return crowd or ('label' if style == 'coco2voc' else 'ignore')


def summary_table(root: Path, labels: dict[str, ImageLabels]) -> Table:
    """Return a table of the images and labels of both splits beside the published numbers."""
    sizes, parts = PUBLISHED_LIST_SIZES[COCO2014Dataset], labels.values()
    summaries = [part.subset(with_object(part)).summary() for part in parts]
    table = Table('', *SPLITS, title=str(root))
    table.add_row('images', *(str(len(part)) for part in parts))
    table.add_row('as published', *(str(sizes[f'{split}_all']) for split in SPLITS))
    table.add_row('images with a label', *(str(summary.num_images) for summary in summaries))
    table.add_row('as published', *(str(sizes[split]) for split in SPLITS))
    table.add_row('labels per image with a label', *(f'{summary.labels_per_image:.2f}' for summary in summaries))
    table.add_row('classes', *(str(len(part.classes)) for part in parts))
    return table


def main() -> None:
    """Convert both splits and print what was made."""
    args = parse_args()
    if not args.root.is_dir():
        raise FileNotFoundError(f'{args.root} does not exist')
    if args.nproc < 1:
        raise ValueError(f'--nproc must be at least 1, got {args.nproc}')
    if args.val_part and not args.val_part.is_file():
        raise FileNotFoundError(f'--val-part {args.val_part} does not exist')
    args.crowd = resolve_crowd(args.style, args.crowd)
    require_same_settings(args.root, args.style, args.crowd)
    labels = {split: convert(args, split) for split in SPLITS}
    write_lists(args.root, labels, read_val_part(args.val_part, labels['val']),
                dict(style=args.style, crowd=args.crowd))
    Console().print(summary_table(args.root, labels))


if __name__ == '__main__':
    run_tool(main)
