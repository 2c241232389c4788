#!/usr/bin/env python
"""Show a folder of predictions or pseudo labels as one HTML page: ``python tools/gallery.py DIR``."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import mmcv
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmwsss.analysis import GalleryItem, judge_photo, write_gallery
from mmwsss.datasets import ImageLabels, index_palette, read_class_names
from mmwsss.datasets.map_files import read_label_map
from mmwsss.utils import IMAGE_SUFFIXES, add_to_seal, check_output, first_few, path_inside, read_json, write_lines
from mmwsss.utils.errors import UserError, run_tool

PREDICTIONS = 'predictions.json'


@dataclass
class Entry:
    """Files and scores of a photograph."""

    image_id: str
    photo: Path
    mask: Path
    scores: dict = field(default_factory=dict)
    cams: Optional[Path] = None
    overlay: str = ''


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write one HTML page that shows every photograph with its mask, class activation maps and scores, '
        'sorted by how suspicious it looks. It opens from the disk, without a server.')
    parser.add_argument('dir', metavar='DIR', help='folder that tools/predict.py wrote, or a folder of label maps '
                        '(<image id>.png), for which --images is needed')
    parser.add_argument('--images', metavar='DIR', help='folder of the photographs of label maps')
    parser.add_argument('--classes', metavar='FILE', help='for label maps: text file, one foreground class per line')
    parser.add_argument('--tags', metavar='FILE', help='image labels in the JSON format of mmwsss: shown, and compared '
                        'with masks and scores')
    parser.add_argument('--out', metavar='FILE', help='the page (default: DIR/gallery.html)')
    parser.add_argument('--flag', metavar='FILE', help='write the ids of all photographs that look wrong, the most '
                        'suspicious first, one per line')
    parser.add_argument('--title', help='heading of the page (default: name of the folder)')
    parser.add_argument('--side', type=int, default=192, metavar='N', help='size of the small pictures (default: 192)')
    return parser.parse_args()


def read_predictions(folder: Path) -> tuple[list[Entry], tuple[str, ...], list]:
    """Read what ``tools/predict.py`` wrote; photographs that are gone are an error."""
    content = read_json(folder / PREDICTIONS)
    try:
        entries = [Entry(item['id'], Path(item['path']), folder / item['mask'], item['scores'],
                         folder / item['cams'] if 'cams' in item else None, item.get('overlay', ''))
                   for item in content['images'] if 'mask' in item]
        classes, palette = tuple(content['classes']), content['palette']
    except (KeyError, TypeError) as error:
        raise UserError(f'{folder / PREDICTIONS} is not what tools/predict.py writes: {error!r}') from error
    return entries, classes, palette


def read_label_folder(folder: Path, images: Optional[str], classes: Optional[str]) -> tuple:
    """Find label maps and their photographs.

    Raises:
        UserError: There is no label map, or the photograph of one is missing.
    """
    if images is None or classes is None:
        raise UserError(f'{folder} has no {PREDICTIONS}: for a folder of label maps, give --images DIR and --classes '
                        'FILE')
    entries, missing = [], []
    for mask in sorted(folder.rglob('*.png')):
        image_id = mask.relative_to(folder).with_suffix('').as_posix()
        candidates = (path_inside(images, image_id, suffix) for suffix in (*IMAGE_SUFFIXES, *map(str.upper,
                                                                                                 IMAGE_SUFFIXES)))
        photo = next((path for path in candidates if path.is_file()), None)
        if photo is None:
            missing.append(image_id)
        else:
            entries.append(Entry(image_id, photo, mask))
    if missing:
        raise UserError(f'{len(missing)} label maps in {folder} have no photograph in {images}: {first_few(missing)}')
    names = ('background', *read_class_names(classes))
    return entries, names, index_palette(len(names))


class Judge:
    """Read photographs one after the other, judge them, and remember what was found."""

    def __init__(self, entries: list[Entry], classes: tuple[str, ...], tags: Optional[dict]) -> None:
        self.entries, self.classes, self.tags = entries, classes, tags
        self.found: list[tuple[float, str, dict]] = []

    def items(self) -> Iterator[GalleryItem]:
        """Yield the items of the gallery."""
        for entry in track(self.entries, 'photographs'):
            image = read_picture(entry.photo)
            labels = read_label_map(entry.mask)
            if labels.shape != image.shape[:2]:
                raise UserError(f'{entry.mask} is {labels.shape}, its photograph {entry.photo} {image.shape[:2]}: they '
                                'do not belong together')
            tags = None if self.tags is None else self.tags.get(entry.image_id)
            quality = judge_photo(labels, self.classes, entry.scores, tags)
            self.found.append((quality.suspicion, entry.image_id, quality.flags))
            cams = read_picture(entry.cams) if entry.cams else None
            yield GalleryItem(entry.image_id, image, labels, quality, entry.scores, tags, cams, entry.overlay)

    def suspects(self) -> list[str]:
        """Return the ids of photographs with flags, the most suspicious first."""
        return [image_id for _, image_id, flags in sorted(self.found, key=lambda one: (-one[0], one[1])) if flags]


def read_picture(path: Path) -> np.ndarray:
    """Read a picture as (H, W, 3) uint8 RGB."""
    if not path.is_file():
        raise FileNotFoundError(f'picture {path} does not exist; was the folder moved? Run tools/predict.py again')
    picture = mmcv.imread(path, channel_order='rgb')
    if picture is None:
        raise UserError(f'picture {path} cannot be read')
    return picture


def print_summary(judge: Judge) -> None:
    """Print how many photographs have each flag."""
    table = Table()
    table.add_column('flag')
    table.add_column('photographs', justify='right')
    table.add_column('example')
    kinds: dict[str, list[str]] = {}
    for _, image_id, flags in sorted(judge.found, reverse=True):
        for kind, text in flags.items():
            kinds.setdefault(kind, []).append(f'{image_id}: {text}')
    for kind, examples in sorted(kinds.items()):
        table.add_row(kind, str(len(examples)), examples[0])
    if kinds:
        Console().print(table)


def main() -> None:
    """Write the page that the command line describes."""
    args = parse_args()
    folder = Path(args.dir)
    if not folder.is_dir():
        raise FileNotFoundError(f'folder {folder} does not exist')
    predicted = (folder / PREDICTIONS).is_file()
    entries, classes, palette = (read_predictions(folder) if predicted
                                 else read_label_folder(folder, args.images, args.classes))
    if not entries:
        raise UserError(f'{folder} holds no masks of photographs')
    out = Path(args.out or folder / 'gallery.html')
    for target in filter(None, (str(out), args.flag)):
        check_output(target, [args.images, args.classes, args.tags, folder / PREDICTIONS])
    tags = dict(ImageLabels.load(args.tags).labels) if args.tags else None
    judge = Judge(entries, classes, tags)
    count = write_gallery(judge.items(), out, classes, palette, args.title or folder.resolve().name, args.side)
    if out.parent.resolve() == folder.resolve():
        add_to_seal(out)
    suspects = judge.suspects()
    if args.flag:
        write_lines(suspects, args.flag)
    print_summary(judge)
    print(f'{count} photographs in {out} ({out.stat().st_size / 2**20:.1f} MiB); {len(suspects)} of them look wrong')


if __name__ == '__main__':
    run_tool(main, (ValueError, ))
