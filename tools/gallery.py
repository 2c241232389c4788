#!/usr/bin/env python
"""Show a folder of predictions or pseudo labels as one HTML page: ``python tools/gallery.py DIR``."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmwsss.analysis import GalleryItem, judge_photo, write_gallery
from mmwsss.datasets import ImageLabels
from mmwsss.datasets.label_folder import PREDICTIONS, LabelFolder
from mmwsss.utils import add_to_seal, check_output, read_json, read_photo, write_lines
from mmwsss.utils.console import print_header
from mmwsss.utils.errors import UserError, run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write one HTML page that shows every photograph with its mask, class activation maps and scores, '
        'sorted by how suspicious it looks. It opens from the disk, without a server.')
    parser.add_argument('dir', metavar='DIR', help='folder that tools/predict.py wrote, or a folder of label maps '
                        '(<image id>.png), for which --images is needed')
    parser.add_argument('--images', metavar='DIR', help='folder of the photographs of label maps')
    parser.add_argument('--classes', metavar='FILE', help='foreground classes of label maps: a text file, or A,B')
    parser.add_argument('--tags', metavar='FILE', help='image labels in the JSON format of mmwsss: shown, and compared '
                        'with masks and scores')
    parser.add_argument('--doubts', metavar='FILE', help='tags that tools/analysis_tools/check_tags.py doubts, in '
                        'place of what the scores say about tags')
    parser.add_argument('--out', metavar='FILE', help='the page (default: DIR/gallery.html)')
    parser.add_argument('--flag', metavar='FILE', help='write the ids of all photographs that look wrong, the most '
                        'suspicious first, one per line')
    parser.add_argument('--title', help='heading of the page (default: name of the folder)')
    parser.add_argument('--side', type=int, default=192, metavar='N', help='size of the small pictures (default: 192)')
    return parser.parse_args()


class Judge:
    """Read photographs one after the other, judge them, and remember what was found.

    Args:
        folder: The label maps and their photographs.
        predictions: Entries of ``predictions.json`` by image id, with scores and pictures; perhaps none.
        directory: Folder that the paths in ``predictions`` start from.
        tags: Image labels by image id, where there are any.
        doubts: Doubted tags by image id, where they were checked.
    """

    def __init__(self, folder: LabelFolder, predictions: dict, directory: Path, tags: Optional[dict],
                 doubts: Optional[dict] = None) -> None:
        self.folder, self.predictions, self.directory, self.tags = folder, predictions, directory, tags
        self.doubts = doubts
        self.found: list[tuple[float, str, dict]] = []

    def items(self) -> Iterator[GalleryItem]:
        """Yield the items of the gallery.

        Raises:
            UserError: The photograph of a label map is not known or cannot be read.
        """
        classes = ('background', *self.folder.classes)
        for one in track(self.folder, 'photographs', len(self.folder)):
            if one.photo is None:
                raise UserError(f'the photograph of label map {one.image_id} is not known or was moved: name the '
                                'folder of the photographs with --images DIR')
            entry = self.predictions.get(one.image_id, {})
            scores = entry.get('scores') or {}
            tags = None if self.tags is None else self.tags.get(one.image_id)
            doubts = None if self.doubts is None else self.doubts.get(one.image_id, {})
            quality = judge_photo(one.labels, classes, scores, tags, doubts, entry.get('agreement'))
            self.found.append((quality.suspicion, one.image_id, quality.flags))
            cams = read_photo(self.directory / entry['cams']) if 'cams' in entry else None
            yield GalleryItem(one.image_id, read_photo(one.photo), one.labels, quality, scores, tags, cams,
                              entry.get('overlay', ''))

    def suspects(self) -> list[str]:
        """Return the ids of photographs with flags, the most suspicious first."""
        return [image_id for _, image_id, flags in sorted(self.found, key=lambda one: (-one[0], one[1])) if flags]


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
    directory = Path(args.dir)
    folder = LabelFolder.open(directory, args.classes, Path(args.images) if args.images else None)
    file = directory / PREDICTIONS
    predictions = {entry['id']: entry for entry in read_json(file)['images']} if file.is_file() else {}
    out = Path(args.out or directory / 'gallery.html')
    for target in filter(None, (str(out), args.flag)):
        check_output(target, [args.images, args.classes, args.tags, args.doubts, file])
    tags = dict(ImageLabels.load(args.tags).labels) if args.tags else None
    doubts = read_json(args.doubts)['images'] if args.doubts else None
    judge = Judge(folder, predictions, directory, tags, doubts)
    print_header(f'gallery of {directory}', photographs=len(folder), output=out)
    count = write_gallery(judge.items(), out, ('background', *folder.classes), folder.palette,
                          args.title or directory.resolve().name, args.side)
    if out.parent.resolve() == directory.resolve():
        add_to_seal(out)
    suspects = judge.suspects()
    if args.flag:
        write_lines(suspects, args.flag)
    print_summary(judge)
    print(f'{count} photographs in {out} ({out.stat().st_size / 2**20:.1f} MiB); {len(suspects)} of them look wrong')


if __name__ == '__main__':
    run_tool(main)
