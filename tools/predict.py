#!/usr/bin/env python
"""Predict photographs and videos: ``python tools/predict.py CONFIG CHECKPOINT INPUT... --out-dir DIR``."""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import cv2
from mmengine.device import get_device
from PIL import Image
from rich.console import Console
from rich.table import Table

from mmwsss.apis import PhotoInput, PhotoPrediction, WSSSInferencer, find_inputs, video_frames, view_agreement
from mmwsss.checkpoints import local_path
from mmwsss.datasets import ImageLabels
from mmwsss.datasets.config import load_config
from mmwsss.datasets.label_folder import PREDICTIONS
from mmwsss.datasets.map_files import write_label_map
from mmwsss.utils import atomic_path, claim_folder, first_few, path_inside, seal_folder, write_json
from mmwsss.utils.cli import add_amp_argument, add_config_arguments, threshold_argument
from mmwsss.utils.console import describe_processes, print_header
from mmwsss.utils.errors import UserError, run_tool
from mmwsss.utils.progress import ProgressLine


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Predict photographs and videos: masks, overlays, and predictions.json with scores, areas and '
        'boxes. Neither masks nor image labels are needed.')
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('inputs', nargs='+', metavar='INPUT',
                        help='photographs, folders (searched recursively), glob patterns, URLs, videos, or camera:0')
    parser.add_argument('--out-dir', required=True, metavar='DIR',
                        help='a new folder, or that of an earlier call of this tool')
    parser.add_argument('--source', choices=['seg', 'cam'],
                        help='the segmentation, or class activation maps of the classes that the classifier finds '
                        '(default: seg where the model is a segmentor)')
    parser.add_argument('--threshold', type=threshold_argument, metavar='T',
                        help='background score of CAMs, or the file of suggest_threshold.py (default: the '
                        "config's model.test_cfg.threshold)")
    parser.add_argument('--score-threshold', type=float, default=0.5, metavar='T',
                        help='CAMs are labeled for classes with a larger score (default: 0.5)')
    parser.add_argument('--top-k', type=int, metavar='K', help='at most so many classes for each photograph')
    parser.add_argument('--labels', metavar='A,B',
                        help='the classes of all photographs, in place of those that the classifier finds')
    parser.add_argument('--tags', metavar='FILE',
                        help='image labels in the JSON format of mmwsss: the classes of each photograph, by its id; '
                        'photographs that are not listed are predicted without')
    parser.add_argument('--post', choices=['none', 'crf', 'par'], default='none',
                        help='refine by a dense CRF or by pixel-adaptive refinement (default: none)')
    parser.add_argument('--tta', action='store_true', help="segment with the config's test-time augmentation")
    parser.add_argument('--batch-size', type=int, default=1, metavar='N',
                        help='photographs of one size that pass the network together (default: 1)')
    parser.add_argument('--max-side', type=int, default=1024, metavar='N',
                        help='shrink larger photographs to this longer side for the network; 0 keeps all sizes '
                        '(default: 1024)')
    parser.add_argument('--window', type=int, metavar='N',
                        help='segment large photographs in overlapping windows of N pixels; implies --max-side 0')
    parser.add_argument('--device', help='such as cpu or cuda:1 (default: the GPU if there is one)')
    add_amp_argument(parser)
    parser.add_argument('--agreement', action='store_true',
                        help='also predict the mirror image and a smaller version of each photograph, and note how '
                        'well their masks agree; takes three times as long')
    parser.add_argument('--no-overlays', action='store_true', help='write masks and predictions.json only')
    parser.add_argument('--max-frames', type=int, metavar='N', help='stop videos and cameras after N frames')
    return parser.parse_args()


def build_inferencer(args: argparse.Namespace) -> WSSSInferencer:
    """Build the model that the command line describes."""
    file = local_path(args.checkpoint)
    if file is not None and not file.exists():
        raise FileNotFoundError(f'no checkpoint {args.checkpoint}')
    if args.batch_size < 1 or args.max_side < 0:
        raise UserError('--batch-size must be 1 or more, and --max-side 0 or more')
    return WSSSInferencer(
        load_config(args), args.checkpoint, args.device or get_device(), args.source, args.threshold,
        args.score_threshold, args.top_k, args.labels.split(',') if args.labels else None, args.post, args.tta,
        args.amp, None if args.window else args.max_side or None, args.window)


class Writer:
    """Write the files of predictions.

    Args:
        folder (str): Where they go: ``masks``, ``overlays`` and ``predictions.json``.
        overlays (bool): Whether to write overlays.
    """

    def __init__(self, folder: str, overlays: bool) -> None:
        self.folder, self.overlays = Path(folder), overlays
        self.images: list[dict] = []
        self.failed: list[dict] = []

    def photo(self, prediction: PhotoPrediction, **notes: Any) -> None:
        """Write the mask and the overlay of a photograph, and what else is noted about it."""
        mask = path_inside(self.folder / 'masks', prediction.image_id, '.png')
        write_label_map(prediction.labels, mask, prediction.palette)
        entry = {**prediction.summary(), **notes, 'mask': mask.relative_to(self.folder).as_posix()}
        if self.overlays:
            drawn = path_inside(self.folder / 'overlays', prediction.image_id, '.jpg')
            with atomic_path(drawn) as tmp:
                Image.fromarray(prediction.draw()).save(tmp, quality=90)
            entry['overlay'] = drawn.relative_to(self.folder).as_posix()
        if self.overlays and prediction.cam_classes:
            cams = path_inside(self.folder / 'cams', prediction.image_id, '.jpg')
            with atomic_path(cams) as tmp:
                Image.fromarray(prediction.draw_cams()).save(tmp, quality=85)
            entry['cams'] = cams.relative_to(self.folder).as_posix()
        self.images.append(entry)

    def video(self, source: PhotoInput, rate: float, predictions: Iterator[PhotoPrediction]) -> None:
        """Write a video with the predictions drawn over its frames."""
        path = path_inside(self.folder / 'videos', source.image_id, '.mp4')
        frames, writer = [], None
        with atomic_path(path) as tmp:
            for prediction in predictions:
                drawn = prediction.draw()
                if writer is None:
                    writer = cv2.VideoWriter(str(tmp), cv2.VideoWriter_fourcc(*'mp4v'), rate, drawn.shape[1::-1])
                writer.write(drawn[..., ::-1])
                frames.append({'scores': prediction.summary()['scores'], 'objects': prediction.objects})
            if writer is None:
                raise UserError(f'{source.path} has no frame that can be read')
            writer.release()
        self.images.append({'id': source.image_id, 'path': source.path, 'frame_rate': rate,
                            'video': path.relative_to(self.folder).as_posix(), 'frames': frames})

    def finish(self, settings: dict) -> None:
        """Write ``predictions.json``."""
        write_json({**settings, 'images': self.images, 'failed': self.failed}, self.folder / PREDICTIONS)


def predict_photos(inferencer: WSSSInferencer, photos: list[PhotoInput], args: argparse.Namespace,
                   writer: Writer) -> None:
    """Predict and write photographs; those that cannot be read are noted and skipped."""
    labels = dict(ImageLabels.load(args.tags).labels) if args.tags else {}
    with ProgressLine('photographs', len(photos)) as line:

        def note_failure(photo: PhotoInput, error: UserError) -> None:
            writer.failed.append({'path': photo.path, 'error': str(error)})
            line.advance()

        for prediction in inferencer.stream(photos, args.batch_size, labels, note_failure):
            notes = dict(agreement=view_agreement(inferencer, prediction, labels)) if args.agreement else {}
            writer.photo(prediction, **notes)
            line.advance()


def predict_video(inferencer: WSSSInferencer, source: PhotoInput, args: argparse.Namespace, writer: Writer) -> None:
    """Predict and write a video or the pictures of a camera, until it ends or Ctrl+C is pressed."""
    rate, count, frames = video_frames(source)

    def predicted(line: ProgressLine) -> Iterator[PhotoPrediction]:
        inputs = (replace(source, kind='photo', array=frame) for frame in islice(frames, args.max_frames))
        try:
            for prediction in inferencer.stream(inputs, args.batch_size):
                yield prediction
                line.advance()
        except KeyboardInterrupt:
            if source.kind != 'camera':
                raise

    with ProgressLine(source.image_id, min(count, args.max_frames or count) or None) as line:
        writer.video(source, rate, predicted(line))


def print_summary(writer: Writer, classes: tuple[str, ...], console: Console) -> None:
    """Print in how many photographs each class was found, and what could not be read."""
    photos = [entry for entry in writer.images if 'objects' in entry]
    areas: dict[str, list[float]] = {name: [] for name in classes[1:]}
    for entry in photos:
        for item in entry['objects']:
            areas[item['class']].append(item['area'])
    if photos:
        table = Table()
        for heading in ('class', 'photographs', 'mean area'):
            table.add_column(heading, justify='left' if heading == 'class' else 'right')
        for name, found in areas.items():
            table.add_row(name, str(len(found)), f'{100 * sum(found) / len(found):.1f} %' if found else '')
        empty = sum(not entry['objects'] for entry in photos)
        table.add_row('(nothing found)', str(empty), '')
        console.print(table)
    videos = len(writer.images) - len(photos)
    console.print(f'{len(photos)} photographs and {videos} videos in {writer.folder}, listed in '
                  f'{writer.folder / PREDICTIONS}', soft_wrap=True)
    for failure in writer.failed[:5]:
        console.print(f"skipped: {failure['error']}", soft_wrap=True, markup=False)


def main() -> None:
    """Predict what the command line describes."""
    args = parse_args()
    inputs = find_inputs(args.inputs)
    claim_folder(args.out_dir, [args.checkpoint, args.config, args.tags, args.classes,
                                *(item.path for item in inputs), *args.inputs], '--out-dir')
    print_header(f'predicting with {args.config}', checkpoint=args.checkpoint, data=first_few(args.inputs, 3),
                 output=args.out_dir, device=describe_processes(args.device))
    inferencer = build_inferencer(args)
    Path(args.out_dir).mkdir(parents=True, exist_ok=True)
    writer = Writer(args.out_dir, not args.no_overlays)
    console = Console()
    try:
        photos = [item for item in inputs if item.kind == 'photo']
        if photos:
            predict_photos(inferencer, photos, args, writer)
        for source in inputs:
            if source.kind != 'photo':
                predict_video(inferencer, source, args, writer)
    finally:
        writer.finish(dict(config=args.config, checkpoint=args.checkpoint, source=inferencer.source,
                           classes=list(inferencer.class_names), palette=inferencer.palette))
        seal_folder(args.out_dir)
    print_summary(writer, inferencer.class_names, console)
    if writer.failed:
        raise UserError(f'{len(writer.failed)} of {len(inputs)} inputs could not be read; they are listed as failed in '
                        f'{Path(args.out_dir, PREDICTIONS)}, all others are done')


if __name__ == '__main__':
    run_tool(main)
