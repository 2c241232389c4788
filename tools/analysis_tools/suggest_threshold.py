#!/usr/bin/env python
"""Suggest the background score of CAMs without masks: ``suggest_threshold.py CONFIG CHECKPOINT PHOTOS --tags F``."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import numpy as np
from mmengine.device import get_device
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmwsss.analysis import compose_sheet, fit_cell, overlay, write_caption
from mmwsss.analysis.threshold_choice import (
    THRESHOLDS,
    ThresholdChoice,
    choose_threshold,
    feature_separation,
    labels_at,
)
from mmwsss.apis import PhotoPrediction, WSSSInferencer, find_inputs
from mmwsss.apis.photo_features import patch_features
from mmwsss.datasets import ImageLabels
from mmwsss.datasets.config import load_config
from mmwsss.utils import atomic_path, check_output, write_json
from mmwsss.utils.cli import add_amp_argument, add_config_arguments
from mmwsss.utils.console import print_header
from mmwsss.utils.errors import UserError, run_tool

CELL_SIZE = (208, 160)
NUM_COLUMNS = 5


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Try thresholds on some photographs, and suggest the one at which foreground and background differ '
        'most in the features of the backbone. No mask is needed.')
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint of the CAM model')
    parser.add_argument('photos', metavar='PHOTOS', help='folder of photographs')
    parser.add_argument('--tags', required=True, metavar='FILE', help='image labels in the JSON format of mmwsss')
    parser.add_argument('--out', required=True, metavar='FILE',
                        help='JSON file of the suggestion, which --threshold of other tools takes')
    parser.add_argument('--sheet', metavar='FILE', help='PNG of some photographs at several thresholds')
    parser.add_argument('--post', choices=['none', 'crf'], default='none',
                        help='judge the labels as they are after a dense CRF, which --post crf of other tools '
                        'applies (default: none)')
    parser.add_argument('--num-photos', type=int, default=40, metavar='N',
                        help='number of photographs, spread over the folder (default: 40)')
    parser.add_argument('--num-rows', type=int, default=8, metavar='N', help='rows of the sheet (default: 8)')
    parser.add_argument('--device', help='such as cpu or cuda:1 (default: the GPU if there is one)')
    add_amp_argument(parser)
    return parser.parse_args()


def spread(values: list, count: int) -> list:
    """Return a few values from everywhere in a list."""
    return [values[place] for place in np.linspace(0, len(values) - 1, min(count, len(values))).astype(int)]


class Labeler:
    """Turn class activation maps into label maps at several thresholds, as ``make_pseudo_labels.py`` does.

    Args:
        inferencer: What predicts the maps.
        post: ``'none'`` or ``'crf'``.
    """

    def __init__(self, inferencer: WSSSInferencer, post: str) -> None:
        self.inferencer, self.post = inferencer, post

    def __call__(self, prediction: PhotoPrediction, thresholds: Sequence[float] = THRESHOLDS) -> list[np.ndarray]:
        """Return a label map (H, W) for each threshold, with 0 for background and for undecided pixels."""
        if self.post == 'none' or not len(prediction.cams):
            values = [prediction.classes.index(name) for name in prediction.cam_classes]
            return [labels_at(prediction.cams, values, threshold) for threshold in thresholds]
        count = len(prediction.classes)
        found = (self.inferencer.label_maps(prediction, threshold, self.post) for threshold in thresholds)
        return [np.where(labels < count, labels, 0) for labels in found]


def sheet_columns(choice: ThresholdChoice) -> list[float]:
    """Return the thresholds of the sheet, with the suggestion in the middle where that is possible."""
    place = choice.thresholds.index(choice.threshold)
    wanted = range(place - NUM_COLUMNS // 2 * 2, place + NUM_COLUMNS // 2 * 2 + 1, 2)
    return [choice.thresholds[k] for k in wanted if 0 <= k < len(choice.thresholds)]


def draw_sheet(predictions: list[PhotoPrediction], label: Labeler, choice: ThresholdChoice, path: str) -> None:
    """Write the photographs at several thresholds."""
    columns, rows = sheet_columns(choice), []
    for one in predictions:
        cells = [write_caption(fit_cell(one.image, CELL_SIZE), ', '.join(one.cam_classes))]
        for labels in label(one, columns):
            cells.append(fit_cell(overlay(one.image, labels, palette=one.palette), CELL_SIZE))
        rows.append(cells)
    titles = ['photograph', *(f'{value:g}{" (suggested)" if value == choice.threshold else ""}' for value in columns)]
    with atomic_path(path) as tmp:
        Image.fromarray(compose_sheet(rows, titles)).save(tmp, 'PNG')


def print_table(choice: ThresholdChoice, console: Console) -> None:
    """Print what was found at each threshold."""
    table = Table()
    for heading in ('threshold', 'variance explained', 'foreground'):
        table.add_column(heading, justify='right')
    for threshold, separation, area in zip(choice.thresholds, choice.separation, choice.areas):
        table.add_row(f'{threshold:g}', f'{100 * separation:.1f} %', f'{100 * area:.0f} %',
                      style='bold' if threshold == choice.threshold else '')
    console.print(table)
    console.print(choice.reason, soft_wrap=True)


def main() -> None:
    """Suggest a threshold for what the command line names."""
    args = parse_args()
    for target in filter(None, (args.out, args.sheet)):
        check_output(target, [args.photos, args.tags, args.config, args.checkpoint])
    tags = {image_id: names for image_id, names in ImageLabels.load(args.tags).labels.items() if names}
    photos = spread([one for one in find_inputs(args.photos) if one.image_id in tags], args.num_photos)
    if not photos:
        raise UserError(f'none of the photographs in {args.photos} is among the tags')
    print_header(f'trying thresholds with {args.config}', checkpoint=args.checkpoint,
                 photographs=f'{args.photos}, {len(photos)} of {len(tags)} with tags', output=args.out)
    inferencer = WSSSInferencer(load_config(args), args.checkpoint, args.device or get_device(), 'cam', amp=args.amp)
    label = Labeler(inferencer, args.post)
    separation, areas, shown, console = [], [], [], Console()
    drawn = {one.image_id for one in spread(photos, args.num_rows)}
    for one in track(inferencer.stream(photos, 1, tags), 'photographs', len(photos), console=console):
        features = patch_features(inferencer.model, one.image)
        maps = [labels > 0 for labels in label(one)]
        separation.append([feature_separation(features, foreground) for foreground in maps])
        areas.append([foreground.mean() for foreground in maps])
        shown += [one] if one.image_id in drawn else []
    choice = choose_threshold(np.array(separation), np.array(areas))
    write_json({**asdict(choice), 'reason': choice.reason}, Path(args.out))
    if args.sheet:
        draw_sheet(shown, label, choice, args.sheet)
    print_table(choice, console)


if __name__ == '__main__':
    run_tool(main)
