#!/usr/bin/env python
"""Prepare PASCAL VOC 2012 with the Semantic Boundaries Dataset (SBD): trainaug masks, list and image-level labels.

This tool runs mmseg's ``voc_aug.py``, adds what it leaves out, and writes below ``DEVKIT/VOC2012``:

* ``SegmentationClassAug/<id>.png``: index masks of SBD, and VOC's own where VOC has one (train and val);
* ``ImageSets/Segmentation/{trainaug,aug}.txt``: sorted lists, without the images of val;
* ``image_labels.json``: image-level labels of trainaug and val, from the boxes in VOC's ``Annotations``. Objects marked
  difficult count, as in the label files that the published methods share. Without ``Annotations``, the labels come from
  the masks, with a warning: they lack about 900 labels of small and difficult objects.

Example:
    python tools/dataset_converters/voc_aug.py data/VOCdevkit data/VOCdevkit/benchmark_RELEASE
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Optional

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import mmseg
from mmseg.datasets import PascalVOCDataset
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmwsss.datasets import ImageLabels, foreground_classes, labels_from_masks, labels_from_voc_xml, read_ids
from mmwsss.datasets.map_files import read_label_map, write_label_map
from mmwsss.utils import write_lines
from mmwsss.utils.errors import run_tool

PUBLISHED_LABELS = dict(trainaug=16458, val=2147)
SCRIPT = Path('tools', 'dataset_converters', 'voc_aug.py')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('devkit', type=Path, help='folder that holds VOC2012')
    parser.add_argument('sbd', type=Path, help='benchmark_RELEASE of SBD (holds dataset/cls, dataset/train.txt, ...)')
    parser.add_argument('--nproc', type=int, default=os.cpu_count() or 1, help='processes (default: one per core)')
    parser.add_argument('--script', type=Path, help="mmseg's voc_aug.py, if the installed mmseg does not bring it")
    return parser.parse_args()


def find_script(given: Optional[Path]) -> Path:
    """Find mmseg's converter: given, installed with mmseg, or in the checkout that mmseg is run from."""
    package = Path(mmseg.__file__).parent
    places = [given] if given else [package / '.mim' / SCRIPT, package.parent / SCRIPT]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(f"mmseg's {SCRIPT} was not found at {' or '.join(map(str, places))}: take it from mmseg's "
                            'repository and give its path as --script')


def check_inputs(voc: Path, sbd: Path) -> None:
    """Raise one error that lists all missing inputs."""
    needed = [voc / 'JPEGImages', voc / 'SegmentationClass', voc / 'ImageSets/Segmentation/train.txt',
              voc / 'ImageSets/Segmentation/val.txt', sbd / 'dataset/cls', sbd / 'dataset/train.txt',
              sbd / 'dataset/val.txt']
    missing = [str(path) for path in needed if not path.exists()]
    if missing:
        raise FileNotFoundError(f'{len(missing)} things are missing: {", ".join(missing)}. Unpack '
                                "VOCtrainval_11-May-2012 so that DEVKIT/VOC2012 exists, and SBD's benchmark archive")


def run_mmseg(script: Path, devkit: Path, sbd: Path, out_dir: Path, nproc: int) -> None:
    """Run mmseg's converter; its progress bar goes to the screen."""
    command = [sys.executable, str(script), str(devkit), str(sbd), '-o', str(out_dir), '--nproc', str(nproc)]
    result = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ['no message'])[-1]
        raise ValueError(f"mmseg's converter failed ({reason}). A count other than 10582 means that the lists of VOC "
                         f'or SBD are not the full ones. Command: {" ".join(command)}')


def add_voc_masks(voc: Path, out_dir: Path) -> None:
    """Replace SBD's masks, which have no ignored border, by VOC's own where there are some."""
    lists = [voc / 'ImageSets/Segmentation' / f'{split}.txt' for split in ('train', 'val')]
    for image_id in track([image_id for path in lists for image_id in read_ids(path)], 'VOC masks'):
        write_label_map(read_label_map(voc / 'SegmentationClass' / f'{image_id}.png'), out_dir / f'{image_id}.png')


def make_masks(args: argparse.Namespace, voc: Path) -> None:
    """Make SegmentationClassAug and the lists, or nothing."""
    final = voc / 'SegmentationClassAug'
    if final.exists():
        Console().print(f'{final} is there already and is kept; remove it to make it again')
        return
    partial = voc / '.SegmentationClassAug.partial'
    shutil.rmtree(partial, ignore_errors=True)
    try:
        run_mmseg(find_script(args.script), args.devkit, args.sbd, partial, args.nproc)
        add_voc_masks(voc, partial)
        for name in ('trainaug', 'aug'):  # mmseg writes them in the order of a set
            path = voc / 'ImageSets/Segmentation' / f'{name}.txt'
            write_lines(sorted(read_ids(path)), path)
        os.replace(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def make_labels(voc: Path, ids: list[str]) -> ImageLabels:
    """Read the image-level labels from the boxes, or from the masks if there are no annotations.

    Args:
        voc: Folder ``VOC2012``.
        ids: The images.

    Returns:
        ImageLabels: One entry per image.

    Raises:
        FileNotFoundError: Some of the images have no annotation.
    """
    classes = foreground_classes(PascalVOCDataset.METAINFO['classes'])
    if (voc / 'Annotations').is_dir():
        return labels_from_voc_xml(voc / 'Annotations', classes, ids, show_progress=True)
    Console(stderr=True).print(
        f'warning: {voc / "Annotations"} does not exist, so image_labels.json is made from the masks and lacks about '
        "900 labels of small and difficult objects. The published methods use the labels of VOC's boxes: unpack "
        'Annotations from VOCtrainval_11-May-2012.tar and run this command again', style='yellow', soft_wrap=True)
    return labels_from_masks(voc / 'SegmentationClassAug', classes, ids, show_progress=True)


def summary_table(voc: Path, labels: ImageLabels, splits: dict[str, list[str]]) -> Table:
    """Return a table of images and labels in each split."""
    table = Table('', *splits, title=f'{voc}, labels of {"boxes" if labels.source["kind"] == "voc-xml" else "masks"}')
    parts = [labels.subset(ids).summary() for ids in splits.values()]
    table.add_row('images', *(str(part.num_images) for part in parts))
    table.add_row('labels', *(str(part.num_labels) for part in parts))
    table.add_row('labels as published', *(str(PUBLISHED_LABELS.get(name, '')) for name in splits))
    table.add_row('labels per image', *(f'{part.labels_per_image:.3f}' for part in parts))
    table.add_row('without a label', *(str(len(part.without_label)) for part in parts))
    return table


def main() -> None:
    """Make masks, lists and labels, and print what was made."""
    args = parse_args()
    voc = args.devkit / 'VOC2012'
    check_inputs(voc, args.sbd)
    make_masks(args, voc)
    splits = {name: read_ids(voc / 'ImageSets/Segmentation' / f'{name}.txt') for name in ('trainaug', 'val')}
    labels = make_labels(voc, [image_id for ids in splits.values() for image_id in ids])
    labels.save(voc / 'image_labels.json')
    Console().print(summary_table(voc, labels, splits))


if __name__ == '__main__':
    run_tool(main)
