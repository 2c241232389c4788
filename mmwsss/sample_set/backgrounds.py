"""Textured backgrounds and the clutter strewn over them. None of it is labeled."""

import cv2
import numpy as np

from .painter import Painter, arc
from .textures import PATTERNS, paint_field, random_color, shift_color, smooth_noise

__all__ = ['BACKGROUNDS', 'draw_background', 'draw_clutter', 'overlay']


def overlay(image: np.ndarray, color: np.ndarray, coverage: np.ndarray, x: int, y: int) -> np.ndarray:
    """Draw a sprite over an image, in place; what lies outside the image is cut off.

    Args:
        image: float32 (H, W, 3).
        color: Sprite colors (h, w, 3).
        coverage: Sprite coverage (h, w) in [0, 1].
        x: Column of the sprite's left edge; may be negative.
        y: Row of the sprite's top edge; may be negative.

    Returns:
        Coverage on the image's own grid, float32 (H, W).
    """
    full = np.zeros(image.shape[:2], np.float32)
    h, w = coverage.shape
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + h, image.shape[0]), min(x + w, image.shape[1])
    if bottom <= top or right <= left:
        return full
    part = coverage[top - y:bottom - y, left - x:right - x]
    full[top:bottom, left:right] = part
    window = image[top:bottom, left:right]
    window += part[..., None] * (color[top - y:bottom - y, left - x:right - x] - window)
    return full


def _mix(shape: tuple, rng: np.random.Generator, first: np.ndarray, second: np.ndarray,
         cells: float) -> np.ndarray:
    weight = smooth_noise(shape, rng, cells, 4)[..., None]
    return first + weight * (second - first)


def _hue(rng: np.random.Generator, typical: tuple) -> np.ndarray:
    """Draw a color near a typical BGR one, or (one time in four) any color at all."""
    if rng.random() < 0.25:
        return random_color(rng)
    return np.clip(np.array(typical, np.float32) * rng.uniform(0.7, 1.2) + rng.normal(0, 22, 3),
                   0, 255).astype(np.float32)


def _canvas(image: np.ndarray) -> np.ndarray:
    """Turn an image of any layout into one that OpenCV draws smooth lines on: uint8, contiguous."""
    return np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8))


def _sky(shape: tuple, rng: np.random.Generator) -> np.ndarray:
    top, low = _hue(rng, (225, 160, 100)), _hue(rng, (240, 220, 190))
    ramp = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None, None]
    sky = np.broadcast_to(top + ramp * (low - top), (*shape, 3)).astype(np.float32)
    clouds = np.clip((smooth_noise(shape, rng, 4, 4) - 0.5) * 3, 0, 1)[..., None]
    return sky + clouds * rng.uniform(0.2, 0.8) * (245 - sky)


def water(shape: tuple, rng: np.random.Generator) -> tuple:
    """Sky over rippled water; the second value is the horizon's row."""
    horizon = int(shape[0] * rng.uniform(0.12, 0.45))
    image = _sky(shape, rng)
    rows, cols = np.mgrid[horizon:shape[0], 0:shape[1]].astype(np.float32)
    depth = (rows - horizon) / max(1, shape[0] - horizon)
    near, far = _hue(rng, (150, 100, 40)), _hue(rng, (200, 160, 90))
    color = far + depth[..., None] * (near - far)
    bend = smooth_noise(rows.shape, rng, 5, 3) * 6
    phase = 14 * np.log1p(rows - horizon + 3) + bend * 2 + np.sin(cols / rng.uniform(5, 12) + bend)
    crest = np.clip(np.sin(phase) * 2 - 1, 0, 1)[..., None]
    image[horizon:] = color + crest * rng.uniform(40, 90)
    image = _canvas(image)
    if rng.random() < 0.4:
        coast = np.array([(x, horizon - rng.uniform(0, 0.12) * shape[0])
                          for x in np.linspace(0, shape[1], 7)] + [(shape[1], horizon), (0, horizon)])
        cv2.fillPoly(image, [coast.astype(np.int32)], random_color(rng, (0.1, 0.6)).tolist(),
                     cv2.LINE_AA)
    return image, horizon


def meadow(shape: tuple, rng: np.random.Generator) -> tuple:
    """Sky over grass drawn blade by blade."""
    horizon = int(shape[0] * rng.uniform(0.05, 0.5))
    image = _sky(shape, rng)
    ground = _hue(rng, (50, 140, 80))
    image[horizon:] = _mix((shape[0] - horizon, shape[1]), rng, ground, shift_color(ground, rng), 8)
    image = _canvas(image)
    for _ in range(int(shape[0] * shape[1] / 60)):
        x, y = rng.uniform(0, shape[1]), rng.uniform(horizon, shape[0] + 4)
        length = 2 + 9 * (y - horizon) / shape[0]
        tip = (int(x + rng.normal(0, 2)), int(y - length))
        cv2.line(image, (int(x), int(y)), tip, (ground + rng.normal(0, 30)).tolist(), 1, cv2.LINE_AA)
    return image, None


def cloudy(shape: tuple, rng: np.random.Generator) -> tuple:
    """Two colors mixed by noise of several octaves."""
    first = random_color(rng)
    return _mix(shape, rng, first, random_color(rng), rng.uniform(2, 9)), None


def wallpaper(shape: tuple, rng: np.random.Generator) -> tuple:
    """One of the object patterns, spread over the whole picture."""
    rows, cols = np.mgrid[0:shape[0], 0:shape[1]].astype(np.float32)
    scale = rng.uniform(40, 90)
    grid = np.stack([cols - shape[1] / 2, rows - shape[0] / 2], -1) / scale
    pattern = PATTERNS[rng.integers(2, len(PATTERNS))]
    return paint_field(grid, random_color(rng, (0.1, 0.8)), pattern, rng), None


def bricks(shape: tuple, rng: np.random.Generator) -> tuple:
    """Courses of bricks, tiles or planks with joints."""
    joint = random_color(rng, (0, 0.3))
    image = _canvas(np.broadcast_to(joint, (*shape, 3)))
    high, wide = rng.uniform(9, 24), rng.uniform(16, 60)
    color, offset = random_color(rng), rng.uniform(0, 1)
    for row in range(int(shape[0] / high) + 1):
        shift = offset * wide * (row % 2) + wide
        for column in range(int(shape[1] / wide) + 3):
            x, y = int(column * wide - shift), int(row * high)
            tone = np.clip(color + rng.normal(0, 18), 0, 255)
            cv2.rectangle(image, (x + 1, y + 1), (int(x + wide) - 2, int(y + high) - 2),
                          tone.tolist(), -1)
    return image + 40 * (smooth_noise(shape, rng, 20, 3)[..., None] - 0.5), None


def foliage(shape: tuple, rng: np.random.Generator) -> tuple:
    """Draw layers of overlapping leaves or pebbles."""
    color = random_color(rng)
    image = _canvas(_mix(shape, rng, color * 0.4, color * 0.8, 6))
    size, slim = rng.uniform(4, 12), rng.uniform(0.3, 1.0)
    for _ in range(int(shape[0] * shape[1] / size**2 * 0.8)):
        center = (int(rng.uniform(0, shape[1])), int(rng.uniform(0, shape[0])))
        axes = (max(1, int(size * rng.uniform(0.6, 1.2))), max(1, int(size * slim)))
        turn, tone = rng.uniform(0, 180), np.clip(color + rng.normal(0, 28), 0, 255)
        cv2.ellipse(image, center, axes, turn, 0, 360, tone.tolist(), -1, cv2.LINE_AA)
        cv2.ellipse(image, center, axes, turn, 0, 360, (tone * 0.6).tolist(), 1, cv2.LINE_AA)
    return image, None


def patchwork(shape: tuple, rng: np.random.Generator) -> tuple:
    """Large overlapping areas of different texture."""
    image, _ = cloudy(shape, rng)
    for _ in range(rng.integers(3, 8)):
        center = rng.uniform(0, 1, 2) * shape[::-1]
        corners = center + rng.normal(0, 0.3 * min(shape), (rng.integers(3, 6), 2))
        mask = np.zeros(shape, np.uint8)
        cv2.fillPoly(mask, [corners.astype(np.int32)], 255, cv2.LINE_AA)
        layer, _ = (wallpaper, cloudy, bricks)[rng.integers(3)](shape, rng)
        image = image + (mask / 255.0).astype(np.float32)[..., None] * (layer - image)
    return image, None


BACKGROUNDS = {
    'water': water, 'meadow': meadow, 'cloudy': cloudy, 'wallpaper': wallpaper, 'bricks': bricks, 'foliage': foliage,
    'patchwork': patchwork}


def draw_background(kind: str, shape: tuple, rng: np.random.Generator) -> tuple:
    """Draw a background.

    Args:
        kind: A key of ``BACKGROUNDS``.
        shape: (H, W) in pixels.
        rng: Source of randomness.

    Returns:
        float32 image (H, W, 3), BGR, not clipped, and the horizon's row (``None`` except for water).

    Raises:
        ValueError: ``kind`` is unknown.
    """
    if kind not in BACKGROUNDS:
        raise ValueError(f'background {kind!r} is unknown, choose one of {sorted(BACKGROUNDS)}')
    image, horizon = BACKGROUNDS[kind](shape, rng)
    return np.array(image, np.float32, order='C'), horizon


def draw_clutter(extent: float, rng: np.random.Generator) -> tuple:
    """Paint one meaningless thing in the style of the objects.

    Args:
        extent: Size in pixels.
        rng: Source of randomness.

    Returns:
        Color (h, w, 3) and coverage (h, w), as from ``Painter.finish``.
    """
    painter = Painter(extent, rng, angle=rng.uniform(0, 360), stretch=rng.uniform(0.3, 1.0))
    kind = rng.integers(5)
    if kind == 0:
        painter.poly(rng.uniform(-0.9, 0.9, (rng.integers(3, 6), 2)), 'base')
    elif kind == 1:
        radii = rng.uniform(0.4, 1.0, 7)
        ring = np.array(arc(0, 0, 1, 1, 0, 308, 7)) * radii[:, None]
        painter.poly(ring, 'base', smooth=True)
    elif kind == 2:
        painter.line(rng.uniform(-0.9, 0.9, (rng.integers(2, 5), 2)), rng.uniform(0.05, 0.2), 'accent')
    elif kind == 3:
        painter.ellipse(0, 0, 0.9, rng.uniform(0.3, 0.9), 'second')
        painter.ellipse(0, 0, 0.4, 0.25, 'accent')
    else:
        painter.rect(-0.9, -0.5, 0.9, 0.5, 'base')
        painter.rect(-0.9, -0.1, 0.9, rng.uniform(0, 0.3), 'second', outline=False)
    return painter.finish()
