"""The sample set on disk, in the layout of PASCAL VOC."""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Optional, Union

import numpy as np
from PIL import Image

from mmwsss.utils.files import write_json, write_lines

from .folder import draw_all, fill_folder, write_picture
from .scene import draw_scene
from .shapes import SAMPLE_SHAPES

__all__ = ['SAMPLE_CLASSES', 'SAMPLE_PALETTE', 'summarize_labels', 'write_sample_set']

SAMPLE_CLASSES = ('background', *SAMPLE_SHAPES)
SAMPLE_PALETTE = ((0, 0, 0), (31, 119, 180), (255, 127, 14), (214, 39, 40), (23, 190, 207),
                  (140, 86, 75), (188, 189, 34), (227, 119, 194), (148, 103, 189))
_FORMAT = 1
_SPLITS = ('train', 'val')
_IMAGES, _MASKS, _LISTS = 'JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'


def _write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a class mask (H, W) as PNG with the palette of the classes."""
    image = Image.fromarray(mask, mode='P')
    image.putpalette([value for color in SAMPLE_PALETTE for value in color])
    image.save(path, format='PNG', optimize=False)


def _draw_one(folder: Path, seed: int, job: tuple) -> list:
    """Draw and write one image and its mask; the result depends on seed, split and index alone."""
    split, index = job
    scene = draw_scene(np.random.default_rng([seed, split, index]))
    name = f'{_SPLITS[split]}_{index:04d}'
    write_picture(folder / _IMAGES / f'{name}.jpg', scene.image)
    _write_mask(folder / _MASKS / f'{name}.png', scene.mask)
    return scene.labels


def _fill(folder: Path, counts: tuple, seed: int, nproc: Optional[int],
          progress: Callable[[Iterable, int], Iterable]) -> None:
    for sub in (_IMAGES, _MASKS, _LISTS):
        (folder / sub).mkdir(parents=True)
    jobs = [(split, index) for split, count in enumerate(counts) for index in range(count)]
    names = [f'{_SPLITS[split]}_{index:04d}' for split, index in jobs]
    results = progress(draw_all(partial(_draw_one, folder, seed), jobs, nproc), len(jobs))
    labels = dict(zip(names, results))
    for split in _SPLITS:
        write_lines((name for name in names if name.startswith(split)), folder / _LISTS / f'{split}.txt')
    write_lines(SAMPLE_CLASSES, folder / 'classes.txt')
    write_json({'classes': list(SAMPLE_CLASSES[1:]), 'labels': labels}, folder / 'image_labels.json')


def write_sample_set(out_dir: Union[str, Path],
                     num_train: int = 600,
                     num_val: int = 150,
                     seed: int = 0,
                     nproc: Optional[int] = None,
                     progress: Callable[[Iterable, int], Iterable] = lambda items, total: items
                     ) -> bool:
    """Make the sample set in VOC layout, unless it is there already.

    The same settings give the same bytes, whatever ``nproc`` is. Written are ``JPEGImages/*.jpg``,
    ``SegmentationClass/*.png`` (palette; exact, without an ignored border), ``ImageSets/Segmentation/{train,val}.txt``,
    ``classes.txt`` (background first), ``image_labels.json`` and a manifest with the settings.

    Args:
        out_dir: Folder to make.
        num_train: Training images.
        num_val: Validation images.
        seed: Seed of all choices, at least 0.
        nproc: Processes that draw; ``None`` takes one per core.
        progress: Wraps the iterable of finished images, given their number; for a progress bar.

    Returns:
        True if the set was made, False if it was there already.

    Raises:
        ValueError: A count is below 1 or the seed is negative.
        FileExistsError: ``out_dir`` holds something else, or a set with other settings.
    """
    if min(num_train, num_val) < 1:
        raise ValueError(f'num_train and num_val must be at least 1, got {num_train} and {num_val}')
    if seed < 0:
        raise ValueError(f'seed must be at least 0, got {seed}')
    settings = {'set': 'sample', 'format': _FORMAT, 'num_train': num_train, 'num_val': num_val,
                'seed': seed}
    return fill_folder(
        out_dir, settings,
        lambda folder: _fill(folder, (num_train, num_val), seed, nproc, progress))


def summarize_labels(labels: dict) -> dict:
    """Count images per split and class from the ``labels`` entry of ``image_labels.json``.

    Args:
        labels: Class names by image id.

    Returns:
        By split (the id up to its last underscore): ``images``, ``labels_per_image`` and ``classes``, a dict with the
        number of images of each class.
    """
    summary = {}
    for split in sorted({name.rsplit('_', 1)[0] for name in labels}):
        lists = [found for name, found in labels.items() if name.rsplit('_', 1)[0] == split]
        count = Counter(name for found in lists for name in found)
        summary[split] = {
            'images': len(lists),
            'labels_per_image': sum(map(len, lists)) / len(lists),
            'classes': {name: count[name] for name in SAMPLE_CLASSES[1:]}}
    return summary
