"""Compositing: from a seed to a picture and its exact mask."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

import cv2
import numpy as np

from .backgrounds import BACKGROUNDS, draw_background, draw_clutter, overlay
from .painter import Painter
from .shapes import SAMPLE_SHAPES

__all__ = ['Scene', 'draw_scene', 'draw_sprite', 'finish_picture', 'scatter_clutter']

_COMPANION = {'boat': 'water'}
_COMPANION_RATE = 0.9
_STRAY_RATE = 0.05
_EXTENTS = ((0.40, 0.60), (0.28, 0.50), (0.16, 0.38), (0.14, 0.30))
_LIMITS = (0.10, 0.60)
_LEAST_VISIBLE = 0.5


@dataclass
class Scene:
    """A finished picture.

    Attributes:
        image: uint8 (H, W, 3), BGR.
        mask: uint8 (H, W); 0 background, c + 1 for foreground class c.
        labels: Names of the classes with visible pixels, in class order.
        background: Kind of the background.
    """

    image: np.ndarray
    mask: np.ndarray
    labels: list
    background: str


def draw_sprite(shape: Callable, extent: float, rng: np.random.Generator,
                tilt: float = 25.0) -> tuple:
    """Paint one object with random rotation, mirroring and stretch.

    Args:
        shape: Drawing function ``shape(painter, rng)``.
        extent: Pixels that the local interval [-1, 1] covers.
        rng: Source of randomness.
        tilt: Largest in-plane rotation in degrees.

    Returns:
        Color (h, w, 3) float32 and coverage (h, w) float32 in [0, 1].
    """
    painter = Painter(
        extent,
        rng,
        angle=rng.uniform(-tilt, tilt),
        flip=bool(rng.random() < 0.5),
        stretch=rng.uniform(0.8, 1.2))
    shape(painter, rng)
    return painter.finish()


def _drop_shadow(image: np.ndarray, coverage: np.ndarray, rng: np.random.Generator, x: int,
                 y: int) -> None:
    """Darken the image beside where a sprite is going to lie, in place."""
    shift = (rng.normal(0, 0.05, 2) * max(coverage.shape)).astype(int)
    black = np.zeros((*coverage.shape, 3), np.float32)
    soft = cv2.blur(coverage, (7, 7)) * rng.uniform(0.2, 0.5)
    overlay(image, black, soft, x + int(shift[0]), y + int(shift[1]))


def finish_picture(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply uneven light, contrast, color cast, blur and sensor noise.

    Args:
        image: float32 (H, W, 3).
        rng: Source of randomness.

    Returns:
        uint8 (H, W, 3).
    """
    h, w = image.shape[:2]
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.3)
    rows = np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    cols = np.linspace(-1, 1, w, dtype=np.float32)[None, :]
    light = 1 + strength * (np.cos(angle) * cols + np.sin(angle) * rows) / 1.4
    image = image * light[..., None] * rng.uniform(0.85, 1.12, 3).astype(np.float32)
    image = (image - 128) * rng.uniform(0.8, 1.1) + 128 + rng.uniform(-15, 15)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.8))
    noise = rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(0, 7)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _choose_classes(names: list, rng: np.random.Generator) -> list:
    """Draw one to three different classes and, sometimes, a second object of the first."""
    count = int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
    chosen = [str(name) for name in rng.choice(names, count, replace=False)]
    if rng.random() < 0.2:
        chosen.append(chosen[0])
    return chosen


def _choose_background(classes: list, rng: np.random.Generator) -> str:
    """Draw the background: a class with a companion mostly gets it, others rarely do."""
    companions = [_COMPANION[name] for name in classes if name in _COMPANION]
    if companions and rng.random() < _COMPANION_RATE:
        return companions[0]
    if not companions and rng.random() < _STRAY_RATE:
        return 'water'
    return str(rng.choice([kind for kind in BACKGROUNDS if kind not in _COMPANION.values()]))


def _fit(sprite: tuple, side: int) -> tuple:
    """Shrink or enlarge a sprite whose longer edge leaves the permitted part of the image side."""
    color, coverage = sprite
    longest = max(coverage.shape)
    target = np.clip(longest, np.ceil(_LIMITS[0] * side), np.floor(_LIMITS[1] * side))
    if target == longest:
        return sprite
    size = tuple(max(1, int(edge * target / longest)) for edge in coverage.shape[::-1])
    return tuple(cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (color, coverage))


def _choose_corner(size: tuple, shape: tuple, floats: bool, horizon: Optional[int],
                   rng: np.random.Generator) -> tuple:
    """Draw a sprite's top left corner, up to a tenth of it outside; boats sit on the water."""
    h, w = size
    x = rng.uniform(-0.1 * w, shape[1] - 0.9 * w)
    low, high = -0.1 * h, shape[0] - 0.9 * h
    if floats and horizon is not None:
        low = min(max(low, horizon - 0.75 * h), high)
    return int(x), int(rng.uniform(low, high))


def _place(sprites: list, shape: tuple, horizon: Optional[int], rng: np.random.Generator) -> list:
    """Find corners at which every sprite stays visible by half, dropping the last where that fails."""
    for attempt in range(60):
        kept = sprites[:max(1, len(sprites) - attempt // 20)]
        corners = [_choose_corner(coverage.shape, shape, name in _COMPANION, horizon, rng)
                   for name, _, coverage in kept]
        if all(share >= _LEAST_VISIBLE for share in _visible_shares(kept, corners, shape)):
            break
    return list(zip(kept, corners))


def _visible_shares(sprites: list, corners: list, shape: tuple) -> list:
    """Part of each sprite's pixels that is inside the image and not covered by later sprites."""
    owner = np.full(shape, -1)
    for index, ((_, _, coverage), (x, y)) in enumerate(zip(sprites, corners)):
        ghost = np.zeros((*shape, 3), np.float32)
        owner[overlay(ghost, np.zeros((*coverage.shape, 3)), coverage, x, y) >= 0.5] = index
    return [(owner == index).sum() / max(1, (coverage >= 0.5).sum())
            for index, (_, _, coverage) in enumerate(sprites)]


def scatter_clutter(image: np.ndarray, count: int, rng: np.random.Generator,
                     scale: tuple = (0.06, 0.3)) -> list:
    """Draw clutter over the image, in place, and return each item's coverage (H, W)."""
    side = min(image.shape[:2])
    covers = []
    for _ in range(count):
        color, coverage = draw_clutter(side * rng.uniform(*scale), rng)
        x = int(rng.uniform(-0.3, 1) * image.shape[1])
        y = int(rng.uniform(-0.3, 1) * image.shape[0])
        covers.append(overlay(image, color, coverage, x, y))
    return covers


def draw_scene(rng: np.random.Generator, side: tuple = (128, 192)) -> Scene:
    """Draw a picture with one to three classes of the sample set.

    Args:
        rng: Source of randomness; the picture depends on nothing else.
        side: Range of the square root of the picture's area, in pixels; the aspect is 3:4 to 4:3.

    Returns:
        The picture, its mask and labels.
    """
    names = list(SAMPLE_SHAPES)
    length, aspect = rng.uniform(*side), np.exp(rng.uniform(-1, 1) * np.log(4 / 3))
    shape = (round(length / np.sqrt(aspect)), round(length * np.sqrt(aspect)))
    classes = _choose_classes(names, rng)
    kind = _choose_background(classes, rng)
    image, horizon = draw_background(kind, shape, rng)
    scatter_clutter(image, int(rng.integers(2, 10)), rng)
    sprites = []
    for name, span in zip(classes, _EXTENTS):
        extent = rng.uniform(*span) * min(shape)
        sprite = draw_sprite(SAMPLE_SHAPES[name], extent, rng, 10 if name == 'boat' else 25)
        sprites.append((name, *_fit(sprite, min(shape))))
    mask = np.zeros(shape, np.uint8)
    for (name, color, coverage), (x, y) in _place(sprites, shape, horizon, rng):
        if rng.random() < 0.5:
            _drop_shadow(image, coverage, rng, x, y)
        mask[overlay(image, color, coverage, x, y) >= 0.5] = names.index(name) + 1
    _occlude(image, mask, rng)
    labels = [name for index, name in enumerate(names) if (mask == index + 1).any()]
    return Scene(finish_picture(image, rng), mask, labels, kind)


def _occlude(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a little clutter in front of the objects unless it would hide half of a class, in place."""
    if rng.random() >= 0.35:
        return
    trial = image.copy()
    for cover in scatter_clutter(trial, int(rng.integers(1, 4)), rng, (0.06, 0.18)):
        remains = np.where(cover >= 0.5, 0, mask)
        before, after = (np.bincount(m.ravel(), minlength=256)[1:] for m in (mask, remains))
        if (after < 0.6 * before).any():
            return
        mask[:] = remains
    image[:] = trial
