"""Drawing of one object: textured, shaded, outlined parts on a supersampled canvas."""

from typing import Optional

import cv2
import numpy as np

from .textures import PATTERNS, paint_field, random_color, shift_color

__all__ = ['Painter', 'Points', 'arc', 'regular_polygon', 'star_points']

Points = list
_SHIFT = 4
SUPERSAMPLE = 2


def arc(cx: float, cy: float, rx: float, ry: float, start: float = 0, stop: float = 360,
        count: int = 24) -> Points:
    """Return points on an ellipse from ``start`` to ``stop`` degrees (0 is right, 90 is down)."""
    angles = np.radians(np.linspace(start, stop, count))
    return [(cx + rx * np.cos(a), cy + ry * np.sin(a)) for a in angles]


def regular_polygon(sides: int, radius: float = 1.0, turn: float = -90) -> Points:
    """Return the corners of a regular polygon around the origin, the first at ``turn`` degrees."""
    return arc(0, 0, radius, radius, turn, turn + 360 * (sides - 1) / sides, sides)


def star_points(tips: int, inner: float, turn: float = -90) -> Points:
    """Return the outline of a star of radius 1 whose notches lie at radius ``inner``."""
    outer_ring = regular_polygon(tips, 1.0, turn)
    inner_ring = regular_polygon(tips, inner, turn + 180 / tips)
    return [point for pair in zip(outer_ring, inner_ring) for point in pair]


def _smooth_closed(points: np.ndarray, steps: int = 6) -> np.ndarray:
    """Run a closed Catmull-Rom curve through points (N, 2)."""
    before, after = np.roll(points, 1, 0), np.roll(points, -1, 0)
    beyond = np.roll(points, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    curve = 0.5 * (2 * points + (after - before) * t
                   + (2 * before - 5 * points + 4 * after - beyond) * t**2
                   + (3 * points - before - 3 * after + beyond) * t**3)
    return curve.transpose(1, 0, 2).reshape(-1, 2)


class Painter:
    """Paints parts given in local coordinates (x right, y down, the object spans about [-1, 1]).

    A part names its *paint*: ``base``, ``second``, ``accent`` (random color and texture each, fixed for the object),
    ``light`` and ``dark`` (near white, near black). Every part is shaded along one light direction and outlined.

    Args:
        extent: Pixels that the local interval [-1, 1] covers in the finished sprite.
        rng: Source of randomness for colors and textures.
        angle: In-plane rotation in degrees.
        flip: Mirror the object left to right.
        stretch: Factor on the local x axis before rotation.
    """

    def __init__(self,
                 extent: float,
                 rng: np.random.Generator,
                 angle: float = 0.0,
                 flip: bool = False,
                 stretch: float = 1.0) -> None:
        scale = extent * SUPERSAMPLE / 2
        side = int(np.ceil(scale * 2 * 1.6 / SUPERSAMPLE) * SUPERSAMPLE)
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        mirror = np.diag([-stretch if flip else stretch, 1.0])
        self._matrix = scale * np.array([[cos, -sin], [sin, cos]]) @ mirror
        self._center = side / 2
        self._scale = scale
        self._rng = rng
        self.rgb = np.zeros((side, side, 3), np.float32)
        self.alpha = np.zeros((side, side), np.uint8)
        self._outline = rng.uniform(0.015, 0.045) if rng.random() < 0.8 else 0.0
        self._light = rng.uniform(0, 2 * np.pi)
        self._contrast = rng.uniform(0.1, 0.4)
        self._ink = random_color(rng, (0.0, 0.7), (0.05, 0.3))
        self._colors = self._draw_palette()
        self._fields: dict = {}

    def _draw_palette(self) -> dict:
        rng = self._rng
        base = random_color(rng)
        second = random_color(rng) if rng.random() < 0.7 else shift_color(base, rng)
        return {
            'base': base,
            'second': second,
            'accent': random_color(rng),
            'light': random_color(rng, (0.0, 0.25), (0.8, 1.0)),
            'dark': random_color(rng, (0.0, 0.6), (0.08, 0.3))}

    def _field(self, paint: str) -> np.ndarray:
        """Return the textured color field (side, side, 3) of a paint, made on first use."""
        if paint not in self._fields:
            side = self.alpha.shape[0]
            axis = np.arange(side, dtype=np.float32) - self._center
            inverse = np.linalg.inv(self._matrix).astype(np.float32)
            x, y = axis[None, :], axis[:, None]
            grid = np.stack([inverse[0, 0] * x + inverse[0, 1] * y,
                             inverse[1, 0] * x + inverse[1, 1] * y], -1)
            pattern = 'plain'
            if paint in ('base', 'second', 'accent'):
                pattern = PATTERNS[self._rng.integers(len(PATTERNS))]
            self._fields[paint] = paint_field(grid, self._colors[paint], pattern, self._rng)
        return self._fields[paint]

    def _to_canvas(self, points: Points, smooth: bool = False) -> np.ndarray:
        local = np.asarray(points, np.float64)
        if smooth:
            local = _smooth_closed(local)
        return local @ self._matrix.T + self._center

    def poly(self, points: Points, paint: str = 'base', smooth: bool = False,
             outline: Optional[bool] = None) -> None:
        """Fill a closed outline; ``smooth`` rounds it, ``outline=False`` leaves the dark edge out."""
        self._fill(self._to_canvas(points, smooth), paint, outline is not False)

    def ellipse(self, cx: float, cy: float, rx: float, ry: float, paint: str = 'base',
                turn: float = 0.0, outline: bool = True) -> None:
        """Fill an ellipse whose x axis is turned by ``turn`` degrees."""
        points = np.array(arc(0, 0, rx, ry, 0, 345, 24))
        cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        self.poly(points @ np.array([[cos, sin], [-sin, cos]]) + (cx, cy), paint, outline=outline)

    def rect(self, x0: float, y0: float, x1: float, y1: float, paint: str = 'base',
             outline: bool = True) -> None:
        """Fill an axis-parallel rectangle."""
        self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], paint, outline=outline)

    def line(self, points: Points, width: float, paint: str = 'dark', outline: bool = True) -> None:
        """Draw a polyline ``width`` wide (local units) with round ends."""
        path = self._to_canvas(points)
        mask = np.zeros_like(self.alpha)
        thickness = max(1, round(width * self._scale))
        fixed = [np.round(path * 2**_SHIFT).astype(np.int32)]
        if outline and self._outline:
            edge = thickness + 2 * max(1, round(self._outline * self._scale))
            cv2.polylines(mask, fixed, False, 255, edge, cv2.LINE_AA, _SHIFT)
            self._composite(mask, path, edge, None)
            mask[:] = 0
        cv2.polylines(mask, fixed, False, 255, thickness, cv2.LINE_AA, _SHIFT)
        self._composite(mask, path, thickness, paint)

    def _fill(self, path: np.ndarray, paint: str, outline: bool) -> None:
        mask = np.zeros_like(self.alpha)
        fixed = [np.round(path * 2**_SHIFT).astype(np.int32)]
        cv2.fillPoly(mask, fixed, 255, cv2.LINE_AA, _SHIFT)
        self._composite(mask, path, 2, paint)
        if outline and self._outline:
            width = max(1, round(self._outline * self._scale))
            mask[:] = 0
            cv2.polylines(mask, fixed, True, 255, width, cv2.LINE_AA, _SHIFT)
            self._composite(mask, path, width, None)

    def _composite(self, mask: np.ndarray, path: np.ndarray, margin: int,
                   paint: Optional[str]) -> None:
        """Draw the masked paint (``None``: outline ink) over what was painted before."""
        side = self.alpha.shape[0]
        low = np.clip(np.floor(path.min(0)).astype(int) - margin - 2, 0, side)
        high = np.clip(np.ceil(path.max(0)).astype(int) + margin + 3, 0, side)
        if (high <= low).any():
            return
        window = (slice(low[1], high[1]), slice(low[0], high[0]))
        if paint is None:
            color = self._ink
        else:
            color = self._field(paint)[window] * self._shade(low, high)[..., None]
        part = mask[window]
        weight = part.astype(np.float32)[..., None] / 255
        self.rgb[window] += weight * (color - self.rgb[window])
        self.alpha[window] = np.maximum(self.alpha[window], part)

    def _shade(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Brightness (h, w) around 1 that falls off away from the light across the part's box."""
        x = np.linspace(-1, 1, high[0] - low[0], dtype=np.float32)[None, :]
        y = np.linspace(-1, 1, high[1] - low[1], dtype=np.float32)[:, None]
        return 1 + self._contrast * (np.cos(self._light) * x + np.sin(self._light) * y) / 1.4

    def finish(self) -> tuple:
        """Reduce to the final size and cut the empty border off.

        Returns:
            Color (h, w, 3) float32 BGR in [0, 255] and coverage (h, w) float32 in [0, 1].

        Raises:
            ValueError: Nothing was painted.
        """
        coverage = self.alpha.astype(np.float32) / 255
        half = tuple(side // SUPERSAMPLE for side in coverage.shape[::-1])
        color = cv2.resize(self.rgb * coverage[..., None], half, interpolation=cv2.INTER_AREA)
        coverage = cv2.resize(coverage, half, interpolation=cv2.INTER_AREA)
        rows, cols = np.flatnonzero(coverage.any(1)), np.flatnonzero(coverage.any(0))
        if not len(rows):
            raise ValueError('nothing was painted: call poly, ellipse, rect or line before finish')
        window = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        color, coverage = color[window], coverage[window]
        return np.clip(color / np.maximum(coverage, 1e-3)[..., None], 0, 255), coverage
