"""One HTML page with all photographs of a folder, their masks, class activation maps and scores."""

import base64
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
from jinja2 import Environment, PackageLoader
from PIL import Image

from mmwsss.utils import atomic_path

from .overlay import overlay
from .quality import PhotoQuality

__all__ = ['GalleryItem', 'thumbnail', 'write_gallery']

PathLike = Union[str, os.PathLike]


@dataclass
class GalleryItem:
    """A photograph in a gallery.

    Attributes:
        image_id (str): Its name.
        image (np.ndarray): (H, W, 3) uint8 RGB.
        labels (np.ndarray): (H, W) integers.
        quality (PhotoQuality): What looks wrong.
        scores (Mapping[str, float]): By foreground class, in [0, 1]; perhaps none.
        tags (Sequence[str], optional): Image labels, where there are any.
        cams (np.ndarray, optional): Picture of the CAMs, (h, w, 3) uint8 RGB.
        link (str): Path of a large picture, relative to the page.
    """

    image_id: str
    image: np.ndarray
    labels: np.ndarray
    quality: PhotoQuality
    scores: Mapping[str, float] = field(default_factory=dict)
    tags: Optional[Sequence[str]] = None
    cams: Optional[np.ndarray] = None
    link: str = ''


def thumbnail(picture: np.ndarray, side: int = 192) -> str:
    """Encode a small version of a picture as a data URL.

    Args:
        picture (np.ndarray): (H, W, 3) uint8 RGB.
        side (int): Longer side in pixels; smaller pictures keep their size.

    Returns:
        str: ``data:image/webp;base64,...``
    """
    small = Image.fromarray(picture)
    small.thumbnail((side, side), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    small.save(buffer, 'WEBP', quality=70)
    return f'data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}'


def write_gallery(items: Iterable[GalleryItem],
                  path: PathLike,
                  classes: Sequence[str],
                  palette: Sequence[Sequence[int]],
                  title: str = 'Gallery',
                  side: int = 192) -> int:
    """Write a page that opens from the disk, without a server or other files.

    The page has a filter by class and by what looks wrong, a search for names, and an order by suspicion, name, area
    or score. Cards are added while the reader scrolls.

    Args:
        items (Iterable[GalleryItem]): The photographs; only one is kept in memory.
        path (str or PathLike): The HTML file, written whole or not at all.
        classes (Sequence[str]): Names of the label values, background first.
        palette (Sequence): RGB in 0..255 of the label values.
        title (str): Heading.
        side (int): Longer side of the small pictures in pixels. Defaults to 192.

    Returns:
        int: Number of photographs.

    Raises:
        ValueError: There is no photograph.
    """
    entries = [_entry(item, classes, palette, side) for item in items]
    if not entries:
        raise ValueError('a gallery needs at least one photograph')
    environment = Environment(loader=PackageLoader('mmwsss.analysis', 'templates'), autoescape=True)
    colors = {name: '#{:02x}{:02x}{:02x}'.format(*map(int, color)) for name, color in zip(classes, palette)}
    page = environment.get_template('gallery.html').render(
        title=title, classes=list(classes[1:]), count=len(entries), data=_as_script(entries),
        colors=_as_script(colors))
    with atomic_path(path) as tmp:
        Path(tmp).write_text(page, encoding='utf-8')
    return len(entries)


def _entry(item: GalleryItem, classes: Sequence[str], palette: Sequence, side: int) -> dict[str, Any]:
    """Return what the page knows about a photograph."""
    best = sorted(item.scores.items(), key=lambda pair: -pair[1])[:4]
    height, width = item.labels.shape
    entry = {
        'id': item.image_id, 'size': f'{width} x {height}', 'photo': thumbnail(item.image, side),
        'mask': thumbnail(overlay(item.image, item.labels, palette=palette), side),
        'areas': {name: round(100 * share, 2) for name, share in item.quality.areas.items()},
        'parts': item.quality.parts, 'scores': {name: round(score, 3) for name, score in best},
        'tags': None if item.tags is None else list(item.tags), 'flags': item.quality.flags,
        'suspicion': round(item.quality.suspicion, 3), 'link': item.link}
    if item.cams is not None:
        entry['cams'] = thumbnail(item.cams, 2 * side)
    return entry


def _as_script(value: Any) -> str:
    """Return JSON that is safe inside of a script element."""
    return json.dumps(value, ensure_ascii=False, separators=(',', ':')).replace('<', '\\u003c')
