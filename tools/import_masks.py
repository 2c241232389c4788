#!/usr/bin/env python
"""Read annotations of other programs as label maps: ``python tools/import_masks.py F --from FORMAT --out DIR``."""

import argparse
import shutil
from pathlib import Path
from typing import Optional

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import numpy as np
from rich.console import Console
from rich.table import Table

from mmwsss.datasets import index_palette, read_class_names
from mmwsss.datasets.annotation_files import READERS, ClassTable, read_geojson
from mmwsss.datasets.label_folder import find_photo
from mmwsss.datasets.map_files import read_label_map, write_label_map
from mmwsss.utils import check_image_id, first_few, image_size, path_inside, staged_folder
from mmwsss.utils.console import print_header
from mmwsss.utils.errors import UserError, run_tool

FOLDERS = ('labelme', 'geojson')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Read annotations that were drawn or corrected in another program as label maps: 0 is the '
        'background, 1 the first class, 255 ignored (the class "ignored").')
    parser.add_argument('annotations', metavar='F', help='the file, or the folder of the files (labelme, geojson)')
    parser.add_argument('--from', required=True, choices=READERS, dest='format', help='format')
    parser.add_argument('--classes', required=True, metavar='A,B',
                        help='foreground classes in the order of their values, or a text file with one per line')
    parser.add_argument('--out', required=True, metavar='DIR', help='a new folder, or that of an earlier call')
    parser.add_argument('--images', metavar='DIR', help='folder of the photographs: their sizes are compared')
    parser.add_argument('--rest', metavar='DIR', help='folder of label maps, such as pseudo labels: those of all '
                        'images that were not drawn are copied, so that a model can be trained on both')
    return parser.parse_args()


class Importer:
    """Write label maps and count what they show.

    Args:
        classes (ClassTable): The classes.
        images (Path, optional): Folder of the photographs.
        target (Path): Where the label maps go.
    """

    def __init__(self, classes: ClassTable, images: Optional[Path], target: Path) -> None:
        self.classes, self.images, self.target = classes, images, target
        self.palette = index_palette(len(classes.names) + 1)
        self.done: set[str] = set()
        self.counts = dict.fromkeys(classes.values.values(), 0)

    def size_of(self, image_id: str) -> tuple[int, int]:
        """Return the height and the width of the photograph of an image."""
        photo = find_photo(self.images, image_id) if self.images else None
        if photo is None:
            raise UserError(f'the size of image {image_id} is not known: '
                            + (f'{self.images} has no such photograph' if self.images else 'name the folder of the '
                               'photographs with --images'))
        return image_size(photo)

    def add(self, image_id: str, labels: np.ndarray) -> None:
        """Write a label map."""
        check_image_id(image_id)
        if image_id in self.done:
            raise UserError(f'there are two annotations of image {image_id}: keep one of them')
        if self.images and self.size_of(image_id) != labels.shape:
            raise UserError(f'the annotation of {image_id} is {labels.shape}, its photograph {self.size_of(image_id)}: '
                            'they do not belong together')
        write_label_map(labels, path_inside(self.target, image_id, '.png'), self.palette)
        self.done.add(image_id)
        for value in np.unique(labels[labels > 0]).tolist():
            self.counts[value] += 1

    def copy_rest(self, folder: Path) -> int:
        """Copy the label maps of all other images; return their number."""
        count = 0
        for path in sorted(folder.rglob('*.png')):
            image_id = path.relative_to(folder).with_suffix('').as_posix()
            if image_id in self.done:
                continue
            labels = read_label_map(path)
            largest = int(labels[labels != 255].max(initial=0))
            if largest > len(self.classes.names):
                raise UserError(f'{path} has the value {largest}, but there are {len(self.classes.names)} classes')
            copy = path_inside(self.target, image_id, '.png')
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            count += 1
        return count


def print_summary(importer: Importer) -> None:
    """Print in how many images each class was drawn."""
    table = Table()
    table.add_column('class')
    table.add_column('images', justify='right')
    for value, name, _ in importer.classes.entries:
        table.add_row(name, str(importer.counts[value]))
    Console().print(table)


def main() -> None:
    """Read what the command line describes."""
    args = parse_args()
    source, images, rest = Path(args.annotations), *(Path(path) if path else None for path in (args.images, args.rest))
    for folder in filter(None, (images, rest, source if args.format in FOLDERS else None)):
        if not folder.is_dir():
            raise FileNotFoundError(f'folder {folder} does not exist')
    names = read_class_names(args.classes)
    classes = ClassTable(names, index_palette(len(names) + 1))
    print_header(f'importing {source}', format=args.format, classes=first_few(names), output=args.out)
    with staged_folder(args.out, [source, images, rest, args.classes], '--out') as target:
        importer = Importer(classes, images, target)
        found = (read_geojson(source, classes, importer.size_of) if args.format == 'geojson'
                 else READERS[args.format](source, classes))
        for image_id, labels in found:
            importer.add(image_id, labels)
        if not importer.done:
            raise UserError(f'{source} contains no annotated images')
        copied = importer.copy_rest(rest) if rest else 0
    print_summary(importer)
    print(f'{len(importer.done)} drawn label maps{f" and {copied} others" if rest else ""} in {args.out}')


if __name__ == '__main__':
    run_tool(main)
