#!/usr/bin/env python
"""Make a file of image-level labels from masks, VOC XML, COCO JSON, tags, class folders or a pickled dictionary.

Examples:
    python tools/dataset_converters/image_labels.py table tags.csv --out image_labels.json
    python tools/dataset_converters/image_labels.py masks SegmentationClass --classes classes.txt --out labels.json
    python tools/dataset_converters/image_labels.py npy cls_labels_onehot.npy --classes voc --out labels.json
"""

import argparse
from pathlib import Path
from typing import Optional

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from mmseg.datasets import PascalVOCDataset
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmwsss.datasets import (
    ImageLabels,
    PhotoDataset,
    labels_from_coco,
    labels_from_folders,
    labels_from_masks,
    labels_from_npy,
    labels_from_table,
    labels_from_voc_xml,
    read_class_names,
    read_ids,
)
from mmwsss.datasets.coco import COCO_CLASSES
from mmwsss.utils import first_few, why_unreadable
from mmwsss.utils.errors import run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('inputs', nargs='+', type=Path, metavar='INPUT', help='what to read; several are joined')
    common.add_argument('--out', type=Path, required=True, metavar='JSON', help='file to write')
    common.add_argument('--classes', metavar='C',
                        help='foreground classes: a file with one per line, names separated by commas, or voc or coco')
    common.add_argument('--split', type=Path, nargs='+', metavar='TXT', help='keep only the images of these lists')
    common.add_argument('--images', type=Path, metavar='DIR', help='compare the labels with the images in this folder')
    common.add_argument('--verify', action='store_true', help='decode every image of --images')
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    helps = dict(
        masks='a folder of index masks (PNG)',
        voc_xml='a folder of PASCAL VOC annotations (XML)',
        coco='COCO instances files (JSON)',
        table='tags in a CSV, TSV or JSON file, in any of the usual forms',
        folders='a folder per class',
        npy='a pickled dictionary of vectors, such as cls_labels.npy (no code in it is run)')
    sub = {kind: kinds.add_parser(kind.replace('_', '-'), parents=[common], help=text, description=f'Read {text}.')
           for kind, text in helps.items()}
    sub['masks'].add_argument('--min-pixels', type=int, default=1, metavar='N',
                              help='do not count classes with fewer pixels')
    sub['masks'].add_argument('--suffix', default='.png', help='ending of the mask files (default: .png)')
    sub['voc_xml'].add_argument('--skip-difficult', action='store_true', help='leave out objects marked difficult')
    sub['coco'].add_argument('--skip-crowd', action='store_true', help='leave out regions marked iscrowd')
    sub['folders'].add_argument('--flat-ids', action='store_true',
                                help='use the file name alone as the id, and join images of the same name')
    sub['npy'].add_argument('--id-format', metavar='F',
                            help='image id of an integer key, such as COCO_train2014_{:012d} (default: VOC ids)')
    return parser.parse_args()


def read_classes(given: Optional[str]) -> Optional[tuple[str, ...]]:
    """Return the classes that ``--classes`` names."""
    if given is None:
        return None
    known = dict(voc=PascalVOCDataset.METAINFO['classes'], coco=COCO_CLASSES)
    return read_class_names(known.get(given.lower(), given))


def read_source(path: Path, args: argparse.Namespace, classes: Optional[tuple[str, ...]],
                ids: Optional[list[str]]) -> ImageLabels:
    """Read one input of the kind given on the command line."""
    if classes is None and args.kind in ('masks', 'npy'):
        raise ValueError(f'{args.kind} holds no class names: give --classes')
    if args.kind == 'masks':
        return labels_from_masks(path, classes, ids, args.suffix, min_pixels=args.min_pixels, show_progress=True)
    if args.kind == 'voc-xml':
        return labels_from_voc_xml(path, classes, ids, args.skip_difficult, show_progress=True)
    if args.kind == 'coco':
        return labels_from_coco(path, classes, skip_crowd=args.skip_crowd)
    if args.kind == 'table':
        return labels_from_table(path, classes, image_root=args.images)
    if args.kind == 'folders':
        return labels_from_folders(path, classes, args.flat_ids)
    if args.kind == 'npy':
        return labels_from_npy(path, classes, id_format=args.id_format)
    raise NotImplementedError(f'there is no reader for {args.kind}')


def join(parts: list[ImageLabels], ids: Optional[list[str]]) -> ImageLabels:
    """Join the labels of several inputs and keep the images of the split."""
    names = tuple(dict.fromkeys(name for part in parts for name in part.classes))
    table: dict[str, list[str]] = {}
    for part in parts:
        for image_id, labels in part.labels.items():
            table.setdefault(image_id, []).extend(labels)
    source = parts[0].source if len(parts) == 1 else dict(parts=[part.source for part in parts])
    joined = ImageLabels(names, table, source)
    return joined if ids is None else joined.subset(ids)


def compare_with_images(labels: ImageLabels, folder: Path, verify: bool, console: Console) -> None:
    """Warn about labels without an image, images without labels, and images that cannot be read."""
    dataset = PhotoDataset(classes=labels.classes, data_prefix=dict(img_path=str(folder)))
    paths = {info['image_id']: info['img_path'] for info in map(dataset.get_data_info, range(len(dataset)))}
    without_image = [image_id for image_id in labels.labels if image_id not in paths]
    without_entry = [image_id for image_id in paths if image_id not in labels]
    unreadable = []
    for image_id in track([i for i in labels.labels if i in paths], 'decoding', disable=not verify):
        reason = why_unreadable(paths[image_id]) if verify else None
        if reason:
            unreadable.append(reason)
    for offenders, what in ((without_image, f'labeled images are not in {folder}'),
                            (without_entry, f'images of {folder} have no entry in the labels'),
                            (unreadable, 'images cannot be read')):
        if offenders:
            console.print(f'[yellow]{len(offenders)} {what}:[/] {first_few(offenders)}', highlight=False)


def show_summary(labels: ImageLabels, path: Path, console: Console) -> None:
    """Print the table of images per class, and the totals."""
    summary = labels.summary()
    table = Table('class', 'images', 'share')
    for name, count in summary.images_per_class.items():
        table.add_row(name, str(count), f'{100 * count / max(summary.num_images, 1):.1f} %',
                      style='' if count else 'yellow')
    console.print(table)
    console.print(f'{path}: {summary.num_images} images, {summary.labels_per_image:.2f} labels per image, '
                  f'{len(summary.without_label)} without a label, {len(summary.classes_without_image)} classes without '
                  'an image', highlight=False, soft_wrap=True)
    if summary.num_images > 1 and len(set(labels.labels.values())) == 1:
        console.print('[yellow]All images have the same labels, so nothing can be learned from them:[/] add images '
                      "that show other classes, or none (label them with [] and train with empty='keep')",
                      highlight=False, soft_wrap=True)


def main() -> None:
    """Read, check, write, and print what is in it."""
    args = parse_args()
    console = Console()
    if args.out.suffix != '.json':
        raise ValueError(f'--out must end with .json, got {args.out}')
    if args.out.resolve() in {path.resolve() for path in args.inputs}:
        raise ValueError(f'--out {args.out} would replace an input: write to another file')
    if args.verify and args.images is None:
        raise ValueError('--verify decodes the images of --images: give the folder')
    classes = read_classes(args.classes)
    ids = None if args.split is None else list(dict.fromkeys(i for path in args.split for i in read_ids(path)))
    parts = [read_source(path, args, classes, ids) for path in args.inputs]
    labels = join(parts, ids)
    if args.images is not None:
        compare_with_images(labels, args.images, args.verify, console)
    labels.save(args.out)
    show_summary(labels, args.out, console)


if __name__ == '__main__':
    run_tool(main)
