#!/usr/bin/env python
"""Write and check an archive for the test server of VOC: ``python tools/make_submission.py MASKS --out F.tgz``."""

import argparse
from dataclasses import replace
from pathlib import Path

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from mmseg.datasets import PascalVOCDataset
from rich.progress import track

from mmwsss.datasets import read_ids
from mmwsss.datasets.label_folder import LabelFolder, find_photo
from mmwsss.datasets.voc_submission import (
    COMPETITIONS,
    SPLITS,
    archive_folder,
    check_submission,
    write_submission,
)
from mmwsss.utils import check_new_file, first_few, image_size
from mmwsss.utils.errors import UserError, run_tool

CLASSES = PascalVOCDataset.METAINFO['classes'][1:]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write the segmentation of VOC 2012 test as the archive that its evaluation server takes, and check'
        ' names, number, sizes, values and colors. With an archive in place of a folder, check it.')
    parser.add_argument('masks', metavar='MASKS',
                        help='folder that tools/predict.py or tools/test.py --out wrote, or a finished archive')
    parser.add_argument('--data-root', default='data/VOCdevkit/VOC2012', metavar='DIR',
                        help='VOC 2012, with JPEGImages and ImageSets/Segmentation (default: %(default)s)')
    parser.add_argument('--out', metavar='F.tgz', help='archive to write')
    parser.add_argument('--competition', choices=COMPETITIONS, default='comp6',
                        help='comp5: trained on VOC 2012 alone; comp6: on other data as well, such as weights of '
                        'ImageNet (default)')
    parser.add_argument('--split', choices=SPLITS, default='test',
                        help='list of images (default: test, which the server takes)')
    return parser.parse_args()


def sizes_of(root: Path, split: str) -> dict[str, tuple[int, int]]:
    """Return (H, W) of each image of a list, by id."""
    ids = read_ids(root / f'ImageSets/Segmentation/{split}.txt')
    if len(ids) != SPLITS[split]:
        raise UserError(f'{root}/ImageSets/Segmentation/{split}.txt has {len(ids)} images, but {split} of VOC 2012 has '
                        f'{SPLITS[split]}')
    photos = {image_id: find_photo(root / 'JPEGImages', image_id) for image_id in ids}
    missing = [image_id for image_id, photo in photos.items() if photo is None]
    if missing:
        raise FileNotFoundError(f'{len(missing)} images of {split} are not in {root}/JPEGImages: {first_few(missing)}. '
                                'The photographs of test come in an archive of their own')
    return {image_id: image_size(photo) for image_id, photo in photos.items()}


def open_masks(path: Path, sizes: dict[str, tuple[int, int]]) -> LabelFolder:
    """Find the label maps of the list in a folder."""
    predicted = (path / 'predictions.json').is_file()
    folder = LabelFolder.open(path, None if predicted else CLASSES)
    if folder.classes != CLASSES:
        raise UserError(f'{path} has the classes {first_few(folder.classes)}, not those of VOC 2012')
    missing = [image_id for image_id in sizes if image_id not in folder.masks]
    if missing:
        raise UserError(f'{len(missing)} of the {len(sizes)} images have no label map in {path}: {first_few(missing)}')
    return replace(folder, masks={image_id: folder.masks[image_id] for image_id in sizes}, photos={})


def main() -> None:
    """Write or check what the command line describes."""
    args = parse_args()
    masks, root = Path(args.masks), Path(args.data_root)
    target = archive_folder(args.competition, args.split)
    if args.out is None and masks.is_dir():
        raise UserError(f'{masks} is a folder: name the archive to write with --out')
    if args.out is not None and masks.is_file():
        raise UserError(f'{masks} is a file: leave out --out to check an archive')
    if args.out is None:
        check_submission(masks, sizes_of(root, args.split), target)
        print(f'{masks} is complete: {SPLITS[args.split]} segmentations in {target}')
        return
    if not args.out.endswith(('.tgz', '.tar.gz')):
        raise UserError(f'--out must end with .tgz or .tar.gz, got {args.out}')
    check_new_file(args.out, [masks, root / 'JPEGImages'], '--out')
    sizes = sizes_of(root, args.split)
    folder = open_masks(masks, sizes)
    write_submission(track(folder, 'label maps', total=len(folder)), sizes, args.out, target)
    print(f'{args.out}: {len(folder)} segmentations in {target}, checked')


if __name__ == '__main__':
    run_tool(main)
