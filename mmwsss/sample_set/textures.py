"""Procedural textures: color fields over a coordinate grid, and the colors themselves.

All functions draw their choices from the generator given to them, so a picture depends on its seed alone.
"""

import colorsys

import cv2
import numpy as np

__all__ = ['PATTERNS', 'paint_field', 'random_color', 'shift_color', 'smooth_noise']

PATTERNS = ('plain', 'plain', 'grain', 'stripes', 'dots', 'checker', 'blotches', 'gradient', 'scales')


def random_color(rng: np.random.Generator, saturation: tuple = (0.25, 1.0),
                 value: tuple = (0.35, 1.0)) -> np.ndarray:
    """Draw a color with a uniform hue.

    Args:
        rng: Source of randomness.
        saturation: Range of the HSV saturation, in [0, 1].
        value: Range of the HSV value, in [0, 1].

    Returns:
        float32 array (3,), BGR in [0, 255].
    """
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    return np.array(rgb[::-1], np.float32) * 255


def shift_color(color: np.ndarray, rng: np.random.Generator, amount: float = 60) -> np.ndarray:
    """Return a color lighter or darker than ``color`` (BGR (3,), [0, 255]) by up to ``amount``."""
    step = rng.uniform(0.4, 1.0) * amount
    sign = -1 if color.mean() > 128 or rng.random() < 0.3 else 1
    return np.clip(color + sign * step + rng.normal(0, 8, 3), 0, 255).astype(np.float32)


def smooth_noise(shape: tuple, rng: np.random.Generator, cells: float = 6,
                 octaves: int = 3) -> np.ndarray:
    """Sum octaves of interpolated random grids.

    Args:
        shape: (H, W) in pixels.
        rng: Source of randomness.
        cells: Cells of the coarsest grid along the longer side; doubles with every octave.
        octaves: Number of grids that are added, each at half the amplitude of the one before.

    Returns:
        float32 array (H, W) in [0, 1].
    """
    total = np.zeros(shape, np.float32)
    longest = max(shape)
    for octave in range(octaves):
        count = cells * 2**octave
        grid = (max(2, round(count * shape[0] / longest)), max(2, round(count * shape[1] / longest)))
        noise = rng.random(grid, dtype=np.float32)
        total += cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_CUBIC) / 2**octave
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def _blend(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return first + weight[..., None] * (second - first)


def paint_field(grid: np.ndarray, color: np.ndarray, pattern: str,
                rng: np.random.Generator) -> np.ndarray:
    """Fill a coordinate grid with a textured color.

    Args:
        grid: Local coordinates (H, W, 2); the object spans about [-1, 1].
        color: Main color, BGR (3,) in [0, 255]; the second color is derived from it or drawn anew.
        pattern: One of ``PATTERNS``.
        rng: Source of randomness.

    Returns:
        float32 array (H, W, 3), BGR, not clipped.

    Raises:
        ValueError: ``pattern`` is unknown.
    """
    if pattern not in PATTERNS:
        raise ValueError(f'pattern {pattern!r} is unknown, choose one of {sorted(set(PATTERNS))}')
    other = random_color(rng) if rng.random() < 0.35 else shift_color(color, rng, 75)
    angle = rng.uniform(0, np.pi)
    along = grid[..., 0] * np.cos(angle) + grid[..., 1] * np.sin(angle)
    across = grid[..., 1] * np.cos(angle) - grid[..., 0] * np.sin(angle)
    frequency = rng.uniform(7, 20)
    sharp = rng.uniform(2, 8)
    field = np.broadcast_to(color, (*grid.shape[:2], 3)).astype(np.float32)
    if pattern == 'stripes':
        field = _blend(color, other, 0.5 + 0.5 * np.tanh(sharp * np.sin(frequency * along)))
    elif pattern == 'dots':
        wave = np.cos(frequency * along) * np.cos(frequency * across) - rng.uniform(0.2, 0.6)
        field = _blend(color, other, 0.5 + 0.5 * np.tanh(sharp * 2 * wave))
    elif pattern == 'checker':
        wave = np.sin(frequency * 0.7 * along) * np.sin(frequency * 0.7 * across)
        field = _blend(color, other, 0.5 + 0.5 * np.tanh(sharp * 2 * wave))
    elif pattern == 'scales':
        row = np.floor(across * frequency / 3)
        wave = np.abs(np.sin(frequency / 3 * np.pi * along + row * np.pi / 2))
        field = _blend(color, other, (wave - (across * frequency / 3 - row) > 0).astype(np.float32))
    elif pattern == 'gradient':
        field = _blend(color, other, np.clip(0.5 + 0.6 * along, 0, 1))
    elif pattern == 'blotches':
        noise = smooth_noise(grid.shape[:2], rng, rng.uniform(4, 9), 2)
        field = _blend(color, other, 0.5 + 0.5 * np.tanh(10 * (noise - rng.uniform(0.45, 0.6))))
    if pattern == 'grain' or rng.random() < 0.4:
        field = field + 50 * (smooth_noise(grid.shape[:2], rng, 24, 2)[..., None] - 0.5)
    return field
