"""Plain forms of the pretraining set: symbols and parametric families."""

import numpy as np

from mmwsss.sample_set.painter import Painter, arc, regular_polygon, star_points

__all__ = ['arrow', 'checkerboard', 'cloud', 'cross', 'drop', 'gear', 'heart', 'hexagon', 'lightning', 'moon',
           'pinwheel', 'ring', 'spiral', 'starfish', 'sun', 'triangle']


def arrow(p: Painter, rng: np.random.Generator) -> None:
    """Straight arrow."""
    wide, neck = rng.uniform(0.12, 0.25), rng.uniform(0.0, 0.35)
    p.poly([(-0.95, -wide), (neck, -wide), (neck, -0.55), (0.97, 0), (neck, 0.55), (neck, wide), (-0.95, wide)], 'base')


def checkerboard(p: Painter, rng: np.random.Generator) -> None:
    """Framed board of squares."""
    count = int(rng.integers(3, 6))
    p.rect(-0.8, -0.8, 0.8, 0.8, 'light')
    edges = np.linspace(-0.8, 0.8, count + 1)
    for i in range(count):
        for j in range(i % 2, count, 2):
            p.rect(edges[i], edges[j], edges[i + 1], edges[j + 1], 'base', outline=False)


def cloud(p: Painter, rng: np.random.Generator) -> None:
    """Bank of round puffs with a flat base."""
    outline = [(0.85, 0.4), (-0.85, 0.4)]
    for x in np.linspace(-0.65, 0.65, int(rng.integers(3, 5))):
        outline += arc(x, 0.1, 0.32, rng.uniform(0.4, 0.7), 180, 360, 8)
    p.poly(outline, rng.choice(['light', 'base']), smooth=True)


def cross(p: Painter, rng: np.random.Generator) -> None:
    """Plus sign."""
    w = rng.uniform(0.2, 0.36)
    p.poly([(-w, -0.95), (w, -0.95), (w, -w), (0.95, -w), (0.95, w), (w, w), (w, 0.95), (-w, 0.95), (-w, w), (-0.95, w),
            (-0.95, -w), (-w, -w)], 'base')


def drop(p: Painter, rng: np.random.Generator) -> None:
    """Drop with a highlight."""
    w = rng.uniform(0.5, 0.68)
    p.poly([(0, -0.97), *arc(0, 0.3, w, 0.62, -40, 220, 16)], 'base')
    p.ellipse(-0.22, 0.4, 0.1, 0.22, 'light', turn=20, outline=False)


def gear(p: Painter, rng: np.random.Generator) -> None:
    """Toothed wheel with a hole."""
    teeth, inner = int(rng.integers(7, 12)), rng.uniform(0.68, 0.78)
    points = []
    for k in range(teeth):
        for offset, radius in ((-0.3, inner), (-0.18, 0.97), (0.18, 0.97), (0.3, inner)):
            a = 2 * np.pi * (k + offset) / teeth
            points.append((radius * np.cos(a), radius * np.sin(a)))
    p.poly(points, 'base')
    p.ellipse(0, 0, inner * 0.45, inner * 0.45, 'dark')


def heart(p: Painter, rng: np.random.Generator) -> None:
    """Heart."""
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x = 16 * np.sin(t)**3 / 17
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 17
    p.poly(np.stack([x * rng.uniform(0.85, 1.0), y], 1), 'base')


def hexagon(p: Painter, rng: np.random.Generator) -> None:
    """Nut: hexagon with a round hole."""
    p.poly(regular_polygon(6, 0.93), 'base')
    size = rng.uniform(0.3, 0.55)
    p.ellipse(0, 0, size, size, 'dark')


def lightning(p: Painter, rng: np.random.Generator) -> None:
    """Zigzag bolt."""
    k = rng.uniform(-0.1, 0.1)
    p.poly([(0.25, -0.97), (-0.45, 0.1 + k), (-0.05, 0.08 + k), (-0.3, 0.97), (0.45, -0.2 + k), (0.08, -0.18 + k),
            (0.55, -0.97)], 'base')


def moon(p: Painter, rng: np.random.Generator) -> None:
    """Crescent."""
    thin = rng.uniform(0.25, 0.6)
    p.poly([*arc(0, 0, 0.9, 0.9, -70, -290, 20), *arc(thin, 0, 0.75, 0.75, -265, -95, 16)], 'base')


def pinwheel(p: Painter, rng: np.random.Generator) -> None:
    """Folded vanes on a stick."""
    p.line([(0, -0.2), (0, 0.97)], 0.09, 'dark')
    for k, a in enumerate(rng.uniform(0, 1.5) + np.arange(4) * np.pi / 2):
        c, s = np.cos(a), np.sin(a)
        p.poly([(0, -0.25), (0.7 * c, -0.25 + 0.7 * s), (0.45 * (c - s), -0.25 + 0.45 * (s + c))],
               'second' if k % 2 else 'base')
    p.ellipse(0, -0.25, 0.09, 0.09, 'accent')


def ring(p: Painter, rng: np.random.Generator) -> None:
    """Wide ring, sometimes a lifebelt with bands."""
    thick, paint = rng.uniform(0.2, 0.4), rng.choice(['base', 'light'])
    radius = 0.95 - thick / 2
    p.line(arc(0, 0, radius, radius), thick, paint)
    if rng.random() < 0.6:
        for a in np.arange(4) * 90:
            p.line(arc(0, 0, radius, radius, a - 12, a + 12, 5), thick * 0.95, 'accent', outline=False)


def spiral(p: Painter, rng: np.random.Generator) -> None:
    """Open spiral."""
    turns = rng.uniform(13, 19)
    p.line([(0.85 * t * np.cos(t * turns), 0.85 * t * np.sin(t * turns)) for t in np.linspace(0.04, 1, 50)],
           rng.uniform(0.12, 0.18), 'base')


def starfish(p: Painter, rng: np.random.Generator) -> None:
    """Star with five to seven arms and dots along them."""
    tips = int(rng.integers(5, 8))
    p.poly(star_points(tips, rng.uniform(0.35, 0.5)), 'base', smooth=rng.random() < 0.5)
    for x, y in regular_polygon(tips, 0.5):
        p.ellipse(x, y, 0.07, 0.07, 'accent', outline=False)


def sun(p: Painter, rng: np.random.Generator) -> None:
    """Disc with separate rays."""
    rays, size = int(rng.integers(8, 13)), rng.uniform(0.42, 0.55)
    for a in np.linspace(0, 2 * np.pi, rays, endpoint=False):
        c, s = np.cos(a), np.sin(a)
        p.poly([((size + 0.08) * c - 0.09 * s, (size + 0.08) * s + 0.09 * c), (0.97 * c, 0.97 * s),
                ((size + 0.08) * c + 0.09 * s, (size + 0.08) * s - 0.09 * c)], 'accent')
    p.ellipse(0, 0, size, size, 'base')


def triangle(p: Painter, rng: np.random.Generator) -> None:
    """Warning sign: triangle with a border and a mark."""
    outer = np.array(regular_polygon(3, 0.97)) + (0, 0.15)
    p.poly(outer, 'base')
    p.poly((outer - (0, 0.15)) * rng.uniform(0.6, 0.75) + (0, 0.17), 'light')
    p.line([(0, -0.15), (0, 0.25)], 0.12, 'dark', outline=False)
    p.ellipse(0, 0.45, 0.07, 0.07, 'dark', outline=False)
