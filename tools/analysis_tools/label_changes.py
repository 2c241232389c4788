"""How many pixels of photographs change their label when a model runs in lower precision; part of ``bench_cams.py``."""

import argparse
import time
from typing import Any, Optional

import numpy as np
from measurements import medians, result_row
from rich.table import Table

from mmwsss.apis import PhotoInput, PhotoPrediction, WSSSInferencer, find_inputs
from mmwsss.datasets import ImageLabels
from mmwsss.utils.errors import UserError

__all__ = ['add_photo_arguments', 'measure_label_changes']


def add_photo_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what names photographs and a model."""
    photos = parser.add_argument_group('photographs', 'count the pixels whose label changes with --amp, in place of '
                                                      'measuring models with random weights')
    photos.add_argument('--photos', metavar='PHOTOS', help='folder of photographs')
    photos.add_argument('--model', nargs=2, metavar=('CONFIG', 'CHECKPOINT'), help='the model that labels them')
    photos.add_argument('--tags', metavar='FILE', help='image labels in the JSON format of mmwsss; only photographs in '
                                                       'it are labeled (default: the classes that the model finds)')
    photos.add_argument('--num-photos', type=int, default=30, metavar='N',
                        help='number of photographs, spread over the folder (default: 30)')
    photos.add_argument('--posts', nargs='+', choices=['none', 'crf', 'par'], default=['none'],
                        help='how labels are refined, each a row (default: none)')


def measure_label_changes(args: argparse.Namespace) -> tuple[Table, list[dict[str, Any]]]:
    """Label photographs in float32 and in lower precision, in turns.

    Returns:
        A table, and rows of :mod:`measurements`, whose ``equal_to`` is the share of pixels with another label.

    Raises:
        UserError: An argument is missing, or there is no photograph.
    """
    if not (args.model and args.amp):
        raise UserError('--photos takes --model CONFIG CHECKPOINT and --amp')
    photos, tags = _photos(args.photos, args.tags, args.num_photos)
    table = Table(title=f'{args.model[0]}, {len(photos)} photographs, {args.amp} against float32')
    for heading in ('refinement', 'pixels with another label', 'median photograph', 'worst photograph',
                    'difference of maps, at most', 'times as fast'):
        table.add_column(heading, justify='left' if heading == 'refinement' else 'right')
    rows = []
    for post in args.posts:
        pair = [WSSSInferencer(*args.model, args.device, post=post, amp=amp, show_progress=False)
                for amp in (None, args.amp)]
        shares, gaps, seconds = _compare(pair, photos, tags)
        plain, low = medians(seconds)
        mean = float(np.average(shares))
        shown = [f'{100 * share:.3f} %' for share in (mean, float(np.median(shares)), max(shares))]
        table.add_row(post, *shown, f'{max(gaps):.1e}' if gaps else '-', f'{plain / low:.2f}')
        rows.append(result_row(f'labels of {len(photos)} photographs, refinement {post}, {args.amp}', 'float32',
                               seconds[1], seconds[0], mean))
    return table, rows


def _photos(folder: str, file: Optional[str], count: int) -> tuple[list[PhotoInput], dict]:
    """Return some photographs, spread over a folder, and image labels by their ids."""
    tags = dict(ImageLabels.load(file).labels) if file else {}
    found = [photo for photo in find_inputs(folder) if photo.kind == 'photo' and (not file or tags.get(photo.image_id))]
    if not found:
        raise UserError(f'there is no photograph in {folder}' + (f' that {file} lists' if file else ''))
    chosen = np.unique(np.linspace(0, len(found) - 1, count).astype(int))
    return [found[place] for place in chosen], tags


def _compare(pair: list[WSSSInferencer], photos: list[PhotoInput],
             tags: dict) -> tuple[list[float], list[float], list[list[float]]]:
    """Return shares of changed pixels and largest differences of maps by photograph, and seconds by precision."""
    shares, gaps, seconds = [], [], [[], []]
    for photo in photos:
        found: list[PhotoPrediction] = []
        for inferencer, taken in zip(pair, seconds):
            start = time.perf_counter()
            found += inferencer.stream([photo], 1, tags)
            taken.append(time.perf_counter() - start)
        plain, low = found
        shares.append(float((plain.labels != low.labels).mean()))
        if plain.cams is not None and plain.cam_classes == low.cam_classes and len(plain.cams):
            gaps.append(float(np.abs(plain.cams - low.cams).max()))
    return shares, gaps, seconds
