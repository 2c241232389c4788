#!/usr/bin/env python
"""Write label maps as annotations of other programs: ``python tools/export_masks.py MASKS --to FORMAT --out F``."""

import argparse
import math
from collections.abc import Iterable
from pathlib import Path

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from PIL import Image
from rich.progress import track

from mmwsss.analysis import overlay
from mmwsss.datasets.annotation_files import FILE_FORMATS, WRITERS, ClassTable, ExportOptions, LabeledImage
from mmwsss.datasets.label_folder import LabelFolder
from mmwsss.utils import atomic_path, check_new_file, first_few, path_inside, read_photo, staged_folder
from mmwsss.utils.console import print_header
from mmwsss.utils.errors import UserError, run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write label maps as annotations that other programs read and edit. tools/import_masks.py reads '
        'them back.')
    parser.add_argument('masks', metavar='MASKS', help='folder that tools/predict.py wrote, or a folder of label maps '
                        '(<image id>.png: 0 background, 1 the first class, 255 ignored)')
    parser.add_argument('--to', required=True, choices=[*WRITERS, 'overlay'], help='format')
    parser.add_argument('--out', required=True, metavar='F',
                        help=f'file ({", ".join(FILE_FORMATS)}) or folder (all others) to write')
    parser.add_argument('--classes', metavar='A,B', help='foreground classes, or a text file with one per line; '
                        'predictions contain them')
    parser.add_argument('--images', metavar='DIR', help='folder of the photographs; predictions contain their paths')
    parser.add_argument('--tolerance', type=float, default=0.0, metavar='T',
                        help='simplify outlines, which stay within T pixels (default: 0, exact)')
    parser.add_argument('--ignored', choices=['keep', 'drop'], default='keep',
                        help='write ignored pixels as a class called "ignored" (default), or as background')
    parser.add_argument('--url-prefix', default='', metavar='URL',
                        help='label-studio: address of the folder of the photographs, such as '
                        '"/data/local-files/?d=photos/"')
    return parser.parse_args()


def write_overlays(images: Iterable[LabeledImage], folder: LabelFolder, target: Path) -> None:
    """Write each photograph with its classes drawn over it, as ``<id>.jpg``."""
    names = ('background', *folder.classes)
    for image in images:
        path = path_inside(target, image.image_id, '.jpg')
        drawn = overlay(read_photo(image.photo), image.labels, names, folder.palette)
        with atomic_path(path) as tmp:
            Image.fromarray(drawn).save(tmp, quality=90)


def main() -> None:
    """Write what the command line describes."""
    args = parse_args()
    if not 0 <= args.tolerance < math.inf:
        raise UserError(f'--tolerance must be 0 or a positive number of pixels, got {args.tolerance}')
    folder = LabelFolder.open(Path(args.masks), args.classes, Path(args.images) if args.images else None)
    without = [image_id for image_id in folder.masks if image_id not in folder.photos]
    if args.to == 'overlay' and without:
        raise UserError(f'overlays need the photographs, but those of {len(without)} label maps are not known: '
                        f'{first_few(without)}. Name their folder with --images')
    classes = ClassTable(folder.classes, folder.palette, args.ignored == 'keep')
    options = ExportOptions(args.tolerance, args.url_prefix)
    inputs = [args.masks, args.images, args.classes, *folder.photos.values()]
    print_header(f'exporting {args.masks} to {args.to}', classes=first_few(folder.classes), output=args.out)
    images = track(folder, 'label maps', total=len(folder))
    if args.to in FILE_FORMATS:
        check_new_file(args.out, inputs, '--out')
        with atomic_path(args.out) as target:
            WRITERS[args.to](images, classes, target, options)
    else:
        with staged_folder(args.out, inputs, '--out') as target:
            if args.to == 'overlay':
                write_overlays(images, folder, target)
            else:
                WRITERS[args.to](images, classes, target, options)
    print(f'{len(folder)} label maps of {len(folder.classes)} classes in {args.out} ({args.to})')


if __name__ == '__main__':
    run_tool(main)
