#!/usr/bin/env python
"""Prepare COCO 2014 for weakly supervised segmentation: index masks, image-level labels, split lists.

Reads ``ROOT/annotations/instances_{train,val}2014.json`` and writes below ROOT:

* ``SegmentationClass/{train,val}2014/<id>.png``: palette PNGs, 0 background, 1..80 classes, 255 ignored;
* ``image_labels.json``: image-level labels of both splits;
* ``ImageSets/{train,val,val_part}.txt``: the images with an object, by id; val_part is the first 5000 of val.

Existing masks are kept: after an interruption, the same command continues.
"""

import argparse
import json
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmwsss.datasets import ImageLabels, image_id_of, labels_from_coco
from mmwsss.datasets.coco import CROWD_CHOICES, CocoCategories, paint_instances, read_instances
from mmwsss.datasets.map_files import write_label_map
from mmwsss.utils import write_json, write_lines
from mmwsss.utils.errors import UserError, run_tool

SPLITS = ('train', 'val')
PUBLISHED = dict(train=82081, val=40137)
VAL_PART = 5000


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('root', type=Path, help='folder that holds train2014, val2014 and annotations')
    parser.add_argument('--annotations', type=Path, metavar='DIR', help='default: ROOT/annotations')
    parser.add_argument('--crowd', choices=CROWD_CHOICES, default='ignore',
                        help='regions of many objects not told apart: 255 (default), left out, or their class. '
                        'Left out, they give no image label either')
    parser.add_argument('--nproc', type=int, default=os.cpu_count() or 1, help='processes (default: one per core)')
    return parser.parse_args()


def mask_jobs(data: dict, folder: Path, crowd: str) -> Iterator[tuple]:
    """Yield the remaining jobs: images with annotations and without a mask."""
    indices = CocoCategories.from_instances(data).indices
    by_image = defaultdict(list)
    for annotation in data['annotations']:
        by_image[annotation['image_id']].append(
            {key: annotation.get(key) for key in ('segmentation', 'category_id', 'iscrowd')})
    done = set(os.listdir(folder)) if folder.is_dir() else set()
    for image in data['images']:
        name = image_id_of(image['file_name'], f'image {image["id"]}')
        path = folder / f'{name}.png'
        if image['id'] not in by_image or path.name in done:
            continue
        if not all(isinstance(image.get(side), int) and image[side] > 0 for side in ('height', 'width')):
            raise ValueError(f'image {image["id"]} ({image["file_name"]}) has no valid height and width')
        yield path, image['height'], image['width'], by_image[image['id']], indices, crowd


def paint(job: tuple) -> None:
    """Paint and write one mask."""
    path, height, width, annotations, indices, crowd = job
    try:
        write_label_map(paint_instances(height, width, annotations, indices, crowd), path)
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


def require_same_settings(root: Path, crowd: str) -> None:
    """Refuse to mix masks of two settings; save the setting before the first mask is written."""
    note = root / 'SegmentationClass' / 'settings.json'
    if note.is_file() and json.loads(note.read_text(encoding='utf-8')) != dict(crowd=crowd):
        raise ValueError(f'{note.parent} holds masks made with another --crowd than {crowd}: remove it, or give the '
                         'same setting')
    write_json(dict(crowd=crowd), note)


def convert(args: argparse.Namespace, split: str) -> ImageLabels:
    """Write the masks of one split and return the labels of the images that have some."""
    name = f'{split}2014'
    path = (args.annotations or args.root / 'annotations') / f'instances_{name}.json'
    data = read_instances(path)
    try:
        jobs = list(mask_jobs(data, args.root / 'SegmentationClass' / name, args.crowd))
    except ValueError as error:
        raise UserError(f'{path}: {error}') from error
    paint_all(jobs, args.nproc, f'{name} masks')
    labels = labels_from_coco(data, skip_crowd=args.crowd == 'skip')
    return labels.subset(sorted(image_id for image_id, names in labels.labels.items() if names))


def write_lists(root: Path, labels: dict[str, ImageLabels], crowd: str) -> None:
    """Write labels and split lists."""
    for split, part in labels.items():
        write_lines(part.labels, root / 'ImageSets' / f'{split}.txt')
    write_lines(list(labels['val'].labels)[:VAL_PART], root / 'ImageSets' / 'val_part.txt')
    train, val = labels['train'], labels['val']
    if train.classes != val.classes:
        raise ValueError(f'the two instances files have different categories: {len(train.classes)} and '
                         f'{len(val.classes)}')
    ImageLabels(train.classes, {**train.labels, **val.labels}, dict(kind='coco', crowd=crowd)).save(
        root / 'image_labels.json')


def main() -> None:
    """Convert both splits and print what was made."""
    args = parse_args()
    if not args.root.is_dir():
        raise FileNotFoundError(f'{args.root} does not exist')
    if args.nproc < 1:
        raise ValueError(f'--nproc must be at least 1, got {args.nproc}')
    require_same_settings(args.root, args.crowd)
    labels = {split: convert(args, split) for split in SPLITS}
    write_lists(args.root, labels, args.crowd)
    table = Table('', *SPLITS, title=str(args.root))
    table.add_row('images with a label', *(str(len(part)) for part in labels.values()))
    table.add_row('as published', *(str(count) for count in PUBLISHED.values()))
    table.add_row('labels per image', *(f'{part.summary().labels_per_image:.2f}' for part in labels.values()))
    table.add_row('classes', *(str(len(part.classes)) for part in labels.values()))
    Console().print(table)


if __name__ == '__main__':
    run_tool(main)
