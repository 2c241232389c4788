"""Vehicles and buildings of the pretraining set."""

import numpy as np

from mmwsss.sample_set.painter import Painter, arc

__all__ = ['bicycle', 'bridge', 'bus', 'castle', 'hot_air_balloon', 'lighthouse', 'plane', 'rocket', 'tent', 'train',
           'truck', 'windmill']


def _wheel(p: Painter, x: float, y: float, size: float) -> None:
    p.ellipse(x, y, size, size, 'dark')
    p.ellipse(x, y, size * 0.45, size * 0.45, 'light')


def bicycle(p: Painter, rng: np.random.Generator) -> None:
    """Two open wheels and a frame."""
    size = rng.uniform(0.32, 0.4)
    for x in (-0.55, 0.55):
        p.line(arc(x, 0.4, size, size), 0.08, 'dark')
    for path in ([(-0.55, 0.4), (-0.2, -0.2), (0.4, -0.2), (0.0, 0.4), (-0.55, 0.4)], [(0.0, 0.4), (-0.25, -0.4)],
                 [(0.55, 0.4), (0.35, -0.5), (0.6, -0.55)]):
        p.line(path, 0.08, 'base')
    p.line([(-0.4, -0.42), (-0.1, -0.42)], 0.1, 'second')


def bridge(p: Painter, rng: np.random.Generator) -> None:
    """Deck on arches with a parapet."""
    arches, top = int(rng.integers(2, 4)), rng.uniform(-0.35, -0.1)
    outline = [(-0.97, top), (0.97, top), (0.97, 0.65)]
    for x in np.linspace(0.97, -0.97, arches + 1)[:-1] - 0.97 / arches:
        half = 0.97 / arches - 0.12
        outline += arc(x, 0.65, half, min(half, 0.6), 0, -180, 10)
    p.poly([*outline, (-0.97, 0.65)], 'base')
    p.line([(-0.95, top - 0.2), (0.95, top - 0.2)], 0.07, 'second')
    for x in np.linspace(-0.9, 0.9, 7):
        p.line([(x, top), (x, top - 0.2)], 0.05, 'second')


def bus(p: Painter, rng: np.random.Generator) -> None:
    """Long box with a row of windows."""
    top, low = rng.uniform(-0.6, -0.45), 0.45
    p.rect(-0.97, top, 0.97, low, 'base')
    count = int(rng.integers(4, 6))
    for x in np.linspace(-0.85, 0.6, count):
        p.rect(x, top + 0.12, x + 0.24, top + 0.45, 'light')
    p.rect(-0.97, 0.1, 0.97, 0.22, 'second', outline=False)
    for x in (-0.6, 0.55):
        _wheel(p, x, low, 0.2)


def castle(p: Painter, rng: np.random.Generator) -> None:
    """Two towers with battlements around a gate."""
    wall = rng.uniform(-0.2, 0.1)
    p.rect(-0.7, wall, 0.7, 0.9, 'base')
    for x in (-0.4, -0.1, 0.2):
        p.rect(x, wall - 0.18, x + 0.18, wall, 'base')
    for s in (-1, 1):
        top = rng.uniform(-0.65, -0.4)
        p.rect(0.7 * s - 0.25, top, 0.7 * s + 0.25, 0.9, 'second')
        p.poly([(0.7 * s - 0.3, top), (0.7 * s, top - 0.35), (0.7 * s + 0.3, top)], 'accent')
        p.rect(0.7 * s - 0.07, top + 0.2, 0.7 * s + 0.07, top + 0.45, 'dark')
    p.poly([(-0.2, 0.9), *arc(0, 0.45, 0.2, 0.25, 180, 360, 8), (0.2, 0.9)], 'dark')


def hot_air_balloon(p: Painter, rng: np.random.Generator) -> None:
    """Striped envelope with a basket on ropes."""
    for s in (-1, 1):
        p.line([(0.35 * s, 0.25), (0.15 * s, 0.7)], 0.04, 'dark')
    p.rect(-0.2, 0.65, 0.2, 0.95, 'second')
    w = rng.uniform(0.6, 0.72)
    p.poly([*arc(0, -0.35, w, 0.62, 180, 360, 14), (0.2, 0.4), (-0.2, 0.4)], 'base')
    p.poly([*arc(0, -0.35, w * 0.35, 0.62, 180, 360, 10), (0.08, 0.4), (-0.08, 0.4)], 'accent')


def lighthouse(p: Painter, rng: np.random.Generator) -> None:
    """Banded tapering tower with a lantern."""
    wide = rng.uniform(0.25, 0.38)
    levels = np.linspace(-0.5, 0.92, int(rng.integers(4, 7)))
    for k, (y0, y1) in enumerate(zip(levels[:-1], levels[1:])):
        w0, w1 = (wide * (0.55 + 0.45 * (y + 0.5) / 1.42) for y in (y0, y1))
        p.poly([(-w0, y0), (w0, y0), (w1, y1), (-w1, y1)], 'base' if k % 2 else 'light')
    p.rect(-wide * 0.8, -0.58, wide * 0.8, -0.48, 'dark')
    p.rect(-wide * 0.4, -0.8, wide * 0.4, -0.55, 'accent')
    p.poly([(-wide * 0.55, -0.78), (0, -0.98), (wide * 0.55, -0.78)], 'second')


def plane(p: Painter, rng: np.random.Generator) -> None:
    """Fuselage with wing, tail fin and windows."""
    p.poly([(-0.6, 0), (-0.98, -0.55), (-0.75, -0.55), (-0.3, -0.05)], 'second')
    p.poly([(0.1, -0.1), (-0.25, -0.6), (-0.05, -0.6), (0.35, -0.1)], 'second')
    thick = rng.uniform(0.16, 0.24)
    p.poly([(-0.95, -0.1), (0.6, -thick), (0.98, 0.05), (0.6, thick), (-0.6, thick)], 'base', smooth=True)
    p.poly([(0.2, 0.05), (-0.4, rng.uniform(0.6, 0.8)), (-0.1, 0.65), (0.45, 0.1)], 'second')
    for x in np.linspace(-0.4, 0.6, 5):
        p.ellipse(x, -0.06, 0.05, 0.05, 'light', outline=False)


def rocket(p: Painter, rng: np.random.Generator) -> None:
    """Pointed body with fins, porthole and flame."""
    p.poly([(-0.15, 0.55), (0, 0.98), (0.15, 0.55)], 'accent')
    for s in (-1, 1):
        p.poly([(0.2 * s, 0.1), (0.55 * s, rng.uniform(0.5, 0.75)), (0.2 * s, 0.55)], 'second')
    w = rng.uniform(0.24, 0.34)
    p.poly([(0, -0.98), (w, -0.4), (w, 0.3), (w * 0.7, 0.62), (-w * 0.7, 0.62), (-w, 0.3), (-w, -0.4)], 'base')
    p.ellipse(0, -0.25, 0.15, 0.15, 'light')


def tent(p: Painter, rng: np.random.Generator) -> None:
    """Ridge tent with an open flap."""
    peak = rng.uniform(-0.2, 0.1)
    p.poly([(peak, -0.7), (peak + 0.5, -0.6), (0.97, 0.7), (0.5, 0.75)], 'second')
    p.poly([(peak, -0.7), (0.5, 0.75), (-0.95, 0.75)], 'base')
    p.poly([(peak, -0.35), (peak + 0.15, 0.75), (peak - 0.35, 0.75)], 'dark')


def train(p: Painter, rng: np.random.Generator) -> None:
    """Steam engine with boiler, chimney and cab."""
    p.rect(0.5, rng.uniform(-0.75, -0.6), 0.68, 0.0, 'second')
    p.rect(-0.2, -0.25, 0.85, 0.35, 'base')
    p.rect(-0.8, -0.7, -0.15, 0.35, 'second')
    p.rect(-0.9, -0.82, -0.05, -0.68, 'dark')
    p.rect(-0.62, -0.5, -0.32, -0.15, 'light')
    p.poly([(0.85, 0.1), (0.98, 0.6), (0.7, 0.6)], 'accent')
    for x, size in ((-0.5, 0.28), (0.1, 0.2), (0.55, 0.2)):
        _wheel(p, x, 0.72 - size, size)


def truck(p: Painter, rng: np.random.Generator) -> None:
    """Cab in front of a tall box."""
    split = rng.uniform(0.25, 0.45)
    p.rect(-0.97, rng.uniform(-0.65, -0.5), split, 0.4, 'base')
    p.poly([(split + 0.05, -0.25), (0.75, -0.25), (0.97, 0.1), (0.97, 0.42), (split + 0.05, 0.42)], 'second')
    p.poly([(split + 0.15, -0.15), (0.7, -0.15), (0.83, 0.08), (split + 0.15, 0.08)], 'light')
    for x in (-0.7, -0.3, 0.65):
        _wheel(p, x, 0.45, 0.17)


def windmill(p: Painter, rng: np.random.Generator) -> None:
    """Tower with four sails."""
    p.poly([(-0.2, -0.25), (0.2, -0.25), (0.38, 0.93), (-0.38, 0.93)], 'base')
    p.poly(arc(0, -0.25, 0.24, 0.3, 180, 360, 8), 'second')
    p.rect(-0.1, 0.6, 0.1, 0.93, 'dark')
    turn = rng.uniform(0, np.pi / 2)
    for a in turn + np.arange(4) * np.pi / 2:
        c, s = np.cos(a), np.sin(a)
        tip, wide = 0.68, 0.2
        p.poly([(0.1 * c, -0.3 + 0.1 * s), (tip * c, -0.3 + tip * s), (tip * c - wide * s, -0.3 + tip * s + wide * c),
                (0.2 * c - wide * s, -0.3 + 0.2 * s + wide * c)], 'light')
    p.ellipse(0, -0.3, 0.08, 0.08, 'dark')
