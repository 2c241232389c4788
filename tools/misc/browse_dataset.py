#!/usr/bin/env python
"""Draw the samples that the dataset of a config gives a model: ``browse_dataset.py CONFIG --out-dir DIR``.

One picture per image: the image as it is, with its labels, and below some draws of the pipeline, every
view of it, with the part that is no padding framed, and the mask where there is one.
"""

import argparse
import random
from pathlib import Path
from typing import Any, Optional

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.visualization import Visualizer
from PIL import Image
from rich.progress import track

from mmwsss.analysis import color_labels, compose_sheet, fit_cell, write_caption
from mmwsss.datasets.config import load_config
from mmwsss.registry import DATASETS
from mmwsss.utils import atomic_path
from mmwsss.utils.cli import add_config_arguments
from mmwsss.utils.errors import run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Draw samples of a config's dataset")
    add_config_arguments(parser)
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train', help='whose dataloader')
    parser.add_argument('--out-dir', default='browse', metavar='DIR', help='where the pictures go (default: browse)')
    parser.add_argument('--number', type=int, default=10, metavar='N', help='how many images (default: 10)')
    parser.add_argument('--draws', type=int, default=3, metavar='N',
                        help='how often the pipeline is run on each (default: 3)')
    parser.add_argument('--cell', type=int, default=224, metavar='PIXELS', help='side of a picture (default: 224)')
    parser.add_argument('--shuffle', action='store_true', help='random images instead of the first ones')
    parser.add_argument('--show', action='store_true', help='also show each picture in a window')
    parser.add_argument('--seed', type=int, default=0, help='of the random choices (default: 0)')
    args = parser.parse_args()
    for name in ('number', 'draws', 'cell'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} must be at least 1, got {getattr(args, name)}')
    return args


def build_dataset(cfg: Config, split: str) -> Any:
    """Build the dataset of one of the config's dataloaders.

    Raises:
        ValueError: The config has no such dataloader.
    """
    loader = cfg.get(f'{split}_dataloader')
    if loader is None:
        raise ValueError(f'config {cfg.filename} has no {split}_dataloader')
    init_default_scope(cfg.get('default_scope', 'mmwsss'))
    return DATASETS.build(loader.dataset)


def label_names(sample: Any, classes: tuple) -> str:
    """Return the names of the classes in a sample's image labels or mask; ids of classes without a name."""
    if 'gt_label' in sample:
        present = 1 + sample.gt_label.nonzero().flatten().numpy()
    elif 'gt_sem_seg' in sample:
        present = np.setdiff1d(sample.gt_sem_seg.data.numpy(), [0, 255])
    else:
        return ''
    return ', '.join(classes[label] if label < len(classes) else str(label) for label in present) or 'no label'


def view_picture(visualizer: Visualizer, view: torch.Tensor, sample: Optional[Any], bgr: bool) -> np.ndarray:
    """Draw one view (3, H, W), 0..255, as RGB; with ``sample``, the frame around what is no padding."""
    picture = view.permute(1, 2, 0).numpy()
    visualizer.set_image(np.ascontiguousarray(picture[..., ::-1] if bgr else picture).clip(0, 255).astype(np.uint8))
    box = None if sample is None else sample.metainfo.get('valid_box')
    if box is not None and tuple(box) != (0, view.shape[1], 0, view.shape[2]):
        top, bottom, left, right = box
        frame = torch.tensor([left, top, right - 1, bottom - 1])
        visualizer.draw_bboxes(frame, edge_colors='lime', line_widths=2)
    return visualizer.get_image()


def sample_cells(visualizer: Visualizer, packed: dict, palette: list, bgr: bool) -> dict[str, np.ndarray]:
    """Return the pictures of one packed sample by title: its views, and its mask."""
    inputs, sample = packed['inputs'], packed['data_samples']
    views = inputs if isinstance(inputs, dict) else {'input': inputs}
    cells = {}
    for index, (name, view) in enumerate(views.items()):
        cells[name] = view_picture(visualizer, view, None if index else sample, bgr)
    if 'gt_sem_seg' in sample:
        cells['mask'] = color_labels(sample.gt_sem_seg.data.squeeze(0).numpy(), palette)
    return cells


def image_sheet(visualizer: Visualizer, dataset: Any, index: int, draws: int, cell: int, bgr: bool) -> tuple:
    """Draw one image of the dataset.

    Args:
        visualizer: Draws on pictures.
        dataset: Built from the config; gives packed samples.
        index: Which image.
        draws: How often the pipeline is run on it.
        cell: Side of a picture, in pixels.
        bgr: Whether the pipeline gives BGR.

    Returns:
        tuple: Path of the image, and the sheet, (H, W, 3) uint8 RGB.
    """
    classes, palette = dataset.metainfo.get('classes', ()), dataset.metainfo.get('palette') or [(0, 0, 0)]
    rows = []
    for _ in range(draws):
        packed = dataset[index]
        if packed is None:
            raise RuntimeError(f'the pipeline gave nothing for sample {index}')
        sample = packed['data_samples']
        cells = sample_cells(visualizer, packed, palette, bgr)
        original = mmcv.imread(sample.metainfo['img_path'], channel_order='rgb')
        cells = {'image': original, **cells}
        row = [fit_cell(picture, (cell, cell), smooth=title != 'mask') for title, picture in cells.items()]
        rows.append([write_caption(row[0], label_names(sample, classes)), *row[1:]])
        path = sample.metainfo['img_path']
    return path, compose_sheet(rows, list(cells), heading=Path(path).name)


def is_bgr(cfg: Config) -> bool:
    """Return whether the pipeline passes BGR images to the preprocessor, as mmcv loads them."""
    preprocessor = cfg.get('data_preprocessor') or cfg.get('model', {}).get('data_preprocessor') or {}
    return bool(preprocessor.get('bgr_to_rgb', preprocessor.get('to_rgb', True)))


def main() -> None:
    """Draw what the command line describes."""
    args = parse_args()
    cfg = load_config(args)
    dataset = build_dataset(cfg, args.split)
    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    visualizer = Visualizer(name='browse')
    indices = np.random.permutation(len(dataset)) if args.shuffle else np.arange(len(dataset))
    out_dir = Path(args.out_dir)
    for index in track(indices[:args.number].tolist(), description='drawing'):
        path, sheet = image_sheet(visualizer, dataset, index, args.draws, args.cell, is_bgr(cfg))
        with atomic_path(out_dir / f'{index:06d}_{Path(path).stem}.png') as tmp:
            Image.fromarray(sheet).save(tmp)
        if args.show:
            visualizer.show(sheet, win_name=Path(path).name)


if __name__ == '__main__':
    run_tool(main)
