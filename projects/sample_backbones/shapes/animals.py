"""Animals and figures of the pretraining set."""

import numpy as np

from mmwsss.sample_set.painter import Painter, arc

__all__ = ['bird', 'cat', 'caterpillar', 'crab', 'ghost', 'jellyfish', 'ladybird', 'owl', 'person',
           'rabbit', 'robot', 'snail', 'snake', 'snowman', 'spider', 'turtle', 'whale']


def _eye(p: Painter, x: float, y: float, size: float) -> None:
    p.ellipse(x, y, size, size, 'light')
    p.ellipse(x, y, size * 0.5, size * 0.5, 'dark', outline=False)


def bird(p: Painter, rng: np.random.Generator) -> None:
    """Side view with beak, wing, tail and legs."""
    for x in (-0.1, 0.15):
        p.line([(x, 0.4), (x + 0.05, 0.9), (x + 0.2, 0.9)], 0.06, 'accent')
    p.poly([(-0.4, 0.1), (-1.0, rng.uniform(-0.4, 0.1)), (-0.9, 0.25), (-0.4, 0.35)], 'second')
    p.ellipse(0, 0.15, 0.6, rng.uniform(0.33, 0.45), 'base', turn=-15)
    p.poly([(0.8, -0.5), (1.0, -0.35), (0.75, -0.3)], 'accent')
    p.ellipse(0.55, -0.4, 0.28, 0.27, 'base')
    p.poly([(-0.5, -0.1), (0.2, -0.1), (0.25, 0.2), (-0.2, rng.uniform(0.25, 0.4))], 'second', smooth=True)
    _eye(p, 0.62, -0.45, 0.08)


def cat(p: Painter, rng: np.random.Generator) -> None:
    """Face with pointed ears and whiskers."""
    tip = rng.uniform(0.75, 0.98)
    for s in (-1, 1):
        p.poly([(0.75 * s, 0.1), (0.65 * s, -tip), (0.15 * s, -0.5)], 'base')
        p.poly([(0.62 * s, -0.2), (0.58 * s, -tip + 0.2), (0.3 * s, -0.45)], 'accent')
    p.ellipse(0, 0.15, 0.8, rng.uniform(0.6, 0.75), 'base')
    for s in (-1, 1):
        _eye(p, 0.32 * s, 0.0, rng.uniform(0.12, 0.17))
        for y in (0.25, 0.4):
            p.line([(0.2 * s, y), (0.95 * s, y + rng.uniform(-0.15, 0.15))], 0.03, 'dark', outline=False)
    p.poly([(-0.1, 0.22), (0.1, 0.22), (0, 0.35)], 'dark')


def caterpillar(p: Painter, rng: np.random.Generator) -> None:
    """Row of round segments with feet and feelers."""
    count, rise = int(rng.integers(5, 8)), rng.uniform(0.05, 0.3)
    for i, x in enumerate(np.linspace(-0.8, 0.7, count)):
        y = 0.25 - rise * np.sin(i * 1.3)
        p.line([(x, y), (x, y + 0.35)], 0.06, 'dark')
        p.ellipse(x, y, 0.24, 0.26, 'second' if i % 2 else 'base')
    for dx in (-0.1, 0.15):
        p.line([(0.7, 0), (0.7 + dx, -0.5)], 0.04, 'dark')
    _eye(p, 0.8, 0.1, 0.08)


def crab(p: Painter, rng: np.random.Generator) -> None:
    """Broad shell, six legs, two claws."""
    for s in (-1, 1):
        for k in range(3):
            p.line([(0.3 * s, 0.2), (0.85 * s, 0.1 + 0.2 * k), (0.9 * s, 0.4 + 0.2 * k)], 0.08, 'second')
        claw = rng.uniform(-0.75, -0.55)
        p.line([(0.4 * s, 0.0), (0.75 * s, -0.2), (0.7 * s, claw)], 0.12, 'second')
        p.poly([(0.7 * s, claw), *arc(0.7 * s, claw, 0.24, 0.28, -60, 240, 12)], 'accent')
        p.line([(0.15 * s, -0.1), (0.18 * s, -0.4)], 0.05, 'dark')
        _eye(p, 0.18 * s, -0.4, 0.09)
    p.ellipse(0, 0.2, 0.6, rng.uniform(0.35, 0.45), 'base')


def ghost(p: Painter, rng: np.random.Generator) -> None:
    """Rounded top, wavy hem, two eyes."""
    wide = rng.uniform(0.5, 0.7)
    xs = np.linspace(wide, -wide, int(rng.integers(7, 12)))
    hem = [(x, 0.75 + 0.18 * (-1)**i) for i, x in enumerate(xs)]
    p.poly([*arc(0, -0.25, wide, 0.7, 180, 360, 14), *hem], rng.choice(['light', 'base']))
    for s in (-1, 1):
        p.ellipse(0.22 * s, -0.3, 0.11, 0.16, 'dark')
    p.ellipse(0, 0.1, 0.12, 0.1, 'accent')


def jellyfish(p: Painter, rng: np.random.Generator) -> None:
    """Bell with wavy tentacles."""
    for x in np.linspace(-0.5, 0.5, int(rng.integers(4, 7))):
        phase = rng.uniform(0, 6)
        p.line([(x + 0.08 * np.sin(t * 8 + phase), t) for t in np.linspace(-0.1, rng.uniform(0.7, 1.0), 9)],
               0.08, 'second')
    p.poly([*arc(0, -0.1, 0.75, rng.uniform(0.6, 0.85), 180, 360, 14), (0.4, 0.05), (0, -0.05),
            (-0.4, 0.05)], 'base')


def ladybird(p: Painter, rng: np.random.Generator) -> None:
    """Spotted halves seen from above."""
    for s in (-1, 1):
        for y in (-0.3, 0.1, 0.5):
            p.line([(0.4 * s, y), (0.95 * s, y + rng.uniform(-0.1, 0.2))], 0.07, 'dark')
    p.ellipse(0, -0.6, 0.35, 0.3, 'dark')
    p.ellipse(0, 0.15, 0.7, 0.78, 'base')
    p.line([(0, -0.6), (0, 0.9)], 0.05, 'dark', outline=False)
    for s in (-1, 1):
        for _ in range(rng.integers(2, 5)):
            size = rng.uniform(0.07, 0.13)
            p.ellipse(s * rng.uniform(0.15, 0.5), rng.uniform(-0.3, 0.6), size, size, 'dark', outline=False)


def owl(p: Painter, rng: np.random.Generator) -> None:
    """Upright body with big eyes, tufts and wings."""
    for s in (-1, 1):
        p.poly([(0.55 * s, -0.5), (0.6 * s, -0.98), (0.1 * s, -0.75)], 'base')
        p.line([(0.2 * s, 0.8), (0.25 * s, 0.97)], 0.1, 'accent')
    p.ellipse(0, 0.05, 0.65, 0.85, 'base')
    p.ellipse(0, 0.35, 0.38, 0.48, 'light')
    for s in (-1, 1):
        p.ellipse(0.58 * s, 0.2, rng.uniform(0.15, 0.25), 0.48, 'second', turn=8 * s)
        _eye(p, 0.27 * s, -0.35, rng.uniform(0.2, 0.27))
    p.poly([(-0.09, -0.2), (0.09, -0.2), (0, 0.0)], 'accent')


def person(p: Painter, rng: np.random.Generator) -> None:
    """Standing figure with raised or hanging arms."""
    arms, legs = rng.uniform(-0.6, 0.4), rng.uniform(0.15, 0.4)
    for s in (-1, 1):
        p.line([(0.12 * s, 0.2), (legs * s, 0.92)], 0.16, 'second')
        p.line([(0.15 * s, -0.35), (0.45 * s, -0.2), (0.65 * s, arms)], 0.13, 'light')
    p.poly([(-0.28, -0.45), (0.28, -0.45), (0.2, 0.3), (-0.2, 0.3)], 'base')
    p.ellipse(0, -0.7, 0.22, 0.25, 'light')
    p.poly(arc(0, -0.74, 0.24, 0.25, 180, 360, 10), 'dark')


def rabbit(p: Painter, rng: np.random.Generator) -> None:
    """Face with two long ears and teeth."""
    lean = rng.uniform(0, 18)
    for s in (-1, 1):
        p.ellipse(0.28 * s, -0.5, 0.16, 0.48, 'base', turn=lean * s)
        p.ellipse(0.28 * s, -0.5, 0.08, 0.34, 'accent', turn=lean * s)
    p.ellipse(0, 0.35, 0.6, 0.58, 'base')
    for s in (-1, 1):
        p.ellipse(0.22 * s, 0.2, 0.08, 0.12, 'dark')
        p.ellipse(0.16 * s, 0.52, 0.18, 0.14, 'light')
    p.rect(-0.1, 0.62, 0.1, 0.82, 'light')
    p.ellipse(0, 0.42, 0.08, 0.06, 'accent')


def robot(p: Painter, rng: np.random.Generator) -> None:
    """Boxy head and body with antenna and limbs."""
    for s in (-1, 1):
        p.rect(*sorted((0.1 * s, 0.3 * s))[:1], 0.5, sorted((0.1 * s, 0.3 * s))[1], 0.95, 'second')
        p.line([(0.4 * s, 0.0), (0.8 * s, rng.uniform(-0.3, 0.4))], 0.13, 'second')
    p.line([(0, -0.5), (0, -0.92)], 0.05, 'dark')
    p.ellipse(0, -0.92, 0.07, 0.07, 'accent')
    p.rect(-0.5, -0.15, 0.5, 0.6, 'base')
    p.rect(-0.35, -0.75, 0.35, -0.2, 'base')
    p.rect(-0.3, 0.05, 0.3, 0.35, 'accent')
    for s in (-1, 1):
        _eye(p, 0.16 * s, -0.5, 0.1)


def snail(p: Painter, rng: np.random.Generator) -> None:
    """Spiral shell on a long foot."""
    p.poly([(-0.95, 0.75), (0.5, 0.4), (0.7, -0.3), (0.9, -0.3), (0.95, 0.3), (0.8, 0.75)], 'second', smooth=True)
    for x in (0.7, 0.9):
        p.line([(0.8, -0.2), (x + 0.05, -0.65)], 0.05, 'dark')
    radius = rng.uniform(0.5, 0.62)
    p.ellipse(-0.1, 0.05, radius, radius, 'base')
    spiral = [(-0.1 + radius * 0.85 * t * np.cos(t * 12), 0.05 + radius * 0.85 * t * np.sin(t * 12))
              for t in np.linspace(0.05, 1, 30)]
    p.line(spiral, 0.07, 'dark', outline=False)


def snake(p: Painter, rng: np.random.Generator) -> None:
    """Thick winding body with a head and a tongue."""
    waves, swing = rng.uniform(1.2, 2.2), rng.uniform(0.3, 0.5)
    path = [(x, swing * np.sin(x * waves * np.pi)) for x in np.linspace(-0.95, 0.7, 28)]
    p.line(path, rng.uniform(0.16, 0.24), 'base')
    x, y = path[-1]
    p.line([(x, y), (x + 0.3, y + 0.03)], 0.05, 'accent')
    p.ellipse(x, y, 0.2, 0.16, 'second')
    _eye(p, x + 0.05, y - 0.06, 0.06)


def snowman(p: Painter, rng: np.random.Generator) -> None:
    """Stacked balls with a hat, a nose and stick arms."""
    for s in (-1, 1):
        p.line([(0.3 * s, -0.05), (0.85 * s, rng.uniform(-0.4, 0))], 0.05, 'dark')
    p.ellipse(0, 0.55, 0.5, 0.42, 'light')
    p.ellipse(0, 0.0, 0.36, 0.32, 'light')
    p.ellipse(0, -0.42, 0.25, 0.25, 'light')
    p.rect(-0.2, -0.98, 0.2, -0.6, 'base')
    p.rect(-0.32, -0.66, 0.32, -0.58, 'base')
    p.poly([(0, -0.45), (0.3, -0.38), (0, -0.36)], 'accent')
    for y in (-0.1, 0.05, 0.45, 0.6):
        p.ellipse(0, y, 0.05, 0.05, 'dark')


def spider(p: Painter, rng: np.random.Generator) -> None:
    """Round body with eight bent legs."""
    for s in (-1, 1):
        for k, y in enumerate((-0.55, -0.2, 0.2, 0.55)):
            knee = rng.uniform(0.45, 0.6)
            p.line([(0, 0), (knee * s, y - 0.2), (rng.uniform(0.8, 1.0) * s, y + 0.15 * (k - 1))], 0.07, 'dark')
    p.ellipse(0, 0.2, 0.38, 0.45, 'base')
    p.ellipse(0, -0.3, 0.22, 0.2, 'second')


def turtle(p: Painter, rng: np.random.Generator) -> None:
    """Domed shell, head and feet from the side."""
    for x in (-0.45, 0.35):
        p.rect(x - 0.12, 0.2, x + 0.12, rng.uniform(0.55, 0.7), 'second')
    p.poly([(0.5, 0.3), (0.55, 0.05), (0.75, -0.2), (0.98, -0.1), (0.95, 0.15), (0.8, 0.3)], 'second', smooth=True)
    p.poly([(-0.6, 0.2), (-0.95, 0.3), (-0.6, 0.35)], 'second')
    p.poly(arc(0, 0.3, 0.72, rng.uniform(0.65, 0.85), 180, 360, 14), 'base')
    for x in (-0.35, 0, 0.35):
        p.ellipse(x, 0.05 + 0.3 * abs(x), 0.13, 0.12, 'accent')
    _eye(p, 0.85, -0.05, 0.06)


def whale(p: Painter, rng: np.random.Generator) -> None:
    """Bulky body with a raised fluke and a spout."""
    p.line([(0.4, -0.4), (0.4, -0.8)], 0.06, 'light')
    for s in (-1, 1):
        p.line([(0.4, -0.8), (0.4 + 0.2 * s, -0.92), (0.4 + 0.3 * s, -0.75)], 0.06, 'light')
    p.poly([(0.95, 0.1), (0.8, -0.35), (0.3, -0.45), (-0.3, -0.1), (-0.7, -0.1), (-0.8, -0.3), (-0.95, 0.1),
            (-0.4, 0.5), (0.5, 0.6)], 'base', smooth=True)
    p.poly([(-0.75, -0.2), (-1.0, rng.uniform(-0.7, -0.5)), (-0.75, -0.45), (-0.5, -0.65)], 'base')
    p.poly([(0.8, 0.35), (0.4, 0.6), (-0.1, 0.5), (0.4, 0.3)], 'light', smooth=True)
    _eye(p, 0.6, 0.05, 0.08)
