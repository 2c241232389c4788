#!/usr/bin/env python
"""Find tags that are wrong or missing: ``python tools/analysis_tools/check_tags.py CONFIG PHOTOS --tags T``."""

import argparse
from typing import Optional

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import numpy as np
from mmengine.device import get_device
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmwsss.analysis.tag_check import TagDoubts, find_doubts, held_out_scores
from mmwsss.apis.photo_features import photo_features
from mmwsss.datasets import ImageLabels, PhotoDataset
from mmwsss.utils import check_output, write_json, write_lines
from mmwsss.utils.cli import add_verbose_argument, read_config_file
from mmwsss.utils.console import print_header
from mmwsss.utils.errors import UserError, run_tool

BATCH_SIZE = 16


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Compare the tags of photographs with predictions of classifiers that were not trained on them: '
        'logistic regression on features of an untrained start, in folds. Nothing but the tags is needed.')
    parser.add_argument('config', help='config whose backbone and starting weights describe the photographs')
    parser.add_argument('photos', metavar='PHOTOS', help='folder of the photographs')
    parser.add_argument('--tags', required=True, metavar='FILE', help='image labels in the JSON format of mmwsss')
    parser.add_argument('--out', required=True, metavar='FILE', help='JSON file of scores and doubts, for gallery.py')
    parser.add_argument('--flag', metavar='FILE', help='write the ids of photographs with doubted tags, the most '
                        'doubtful first, one per line')
    parser.add_argument('--folds', type=int, default=5, metavar='N', help='number of folds (default: 5)')
    parser.add_argument('--device', help='such as cpu or cuda:1 (default: the GPU if there is one)')
    add_verbose_argument(parser)
    return parser.parse_args()


def read_photos(folder: str, labels: ImageLabels) -> dict[str, str]:
    """Return the paths of tagged photographs by id.

    Raises:
        UserError: None of them is in the folder.
    """
    dataset = PhotoDataset(classes=labels.classes, data_prefix=dict(img_path=folder), lazy_init=True)
    found = {entry['image_id']: entry['img_path'] for entry in dataset.load_data_list()}
    tagged = {image_id: found[image_id] for image_id in labels.labels if image_id in found}
    if not tagged:
        raise UserError(f'none of the photographs in {folder} is among the tags')
    return tagged


def describe(doubts: TagDoubts, ids: list[str], classes: tuple[str, ...]) -> dict[str, dict]:
    """Return the scores and the doubts of each photograph."""
    images = {}
    for row, image_id in enumerate(ids):
        scores = {name: round(float(score), 4) for name, score in zip(classes, doubts.scores[row])
                  if np.isfinite(score)}
        images[image_id] = {
            'scores': scores,
            **{kind: {classes[channel]: scores[classes[channel]] for channel in np.flatnonzero(flags[row])}
               for kind, flags in (('wrong', doubts.wrong), ('missing', doubts.missing))}}
    return images


def doubt_of(entry: dict) -> Optional[float]:
    """Return how doubtful the tags of a photograph are, in [0, 1]; None if there is no doubt."""
    doubts = [1 - score for score in entry['wrong'].values()] + list(entry['missing'].values())
    return max(doubts, default=None)


def print_summary(doubts: TagDoubts, tags: np.ndarray, classes: tuple[str, ...], console: Console) -> None:
    """Print the number of tags and of doubted tags of each class."""
    table = Table()
    for heading in ('class', 'tags', 'probably wrong', 'probably missing'):
        table.add_column(heading, justify='left' if heading == 'class' else 'right')
    for channel, name in enumerate(classes):
        counts = ('not checked', '') if channel in doubts.unchecked else (
            str(doubts.wrong[:, channel].sum()), str(doubts.missing[:, channel].sum()))
        table.add_row(name, str(tags[:, channel].sum()), *counts)
    console.print(table)
    if doubts.unchecked:
        names = ', '.join(classes[channel] for channel in doubts.unchecked)
        console.print(f'not checked, because fewer than two photographs have or lack them: {names}', soft_wrap=True)


def main() -> None:
    """Check the tags that the command line names."""
    args = parse_args()
    labels = ImageLabels.load(args.tags)
    for target in filter(None, (args.out, args.flag)):
        check_output(target, [args.photos, args.tags, args.config])
    photos = read_photos(args.photos, labels)
    print_header(f'checking the tags in {args.tags}', photographs=f'{args.photos}, {len(photos)}', output=args.out)
    ids, console = list(photos), Console()
    batches = photo_features(read_config_file(args.config), list(photos.values()), args.device or get_device(),
                             BATCH_SIZE)
    features = np.concatenate(list(track(batches, 'features', -(-len(ids) // BATCH_SIZE), console=console)))
    tags = np.array([[name in labels.labels[image_id] for name in labels.classes] for image_id in ids])
    doubts = find_doubts(held_out_scores(features, tags, args.folds), tags)
    images = describe(doubts, ids, labels.classes)
    write_json({'classes': list(labels.classes), 'images': images}, args.out)
    suspects = {image_id: doubt_of(entry) for image_id, entry in images.items()}
    suspects = sorted((image_id for image_id, doubt in suspects.items() if doubt is not None),
                      key=lambda image_id: -suspects[image_id])
    if args.flag:
        write_lines(suspects, args.flag)
    print_summary(doubts, tags, labels.classes, console)
    console.print(f'{len(suspects)} of {len(ids)} photographs have doubted tags; see {args.out}', soft_wrap=True)


if __name__ == '__main__':
    run_tool(main)
