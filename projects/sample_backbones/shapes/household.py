"""Tools, furniture, clothes and other things of the pretraining set."""

import numpy as np

from mmwsss.sample_set.painter import Painter, arc

__all__ = ['anchor', 'balloon', 'bell', 'book', 'bottle', 'bucket', 'candle', 'chair', 'clock', 'crown',
           'envelope', 'glasses', 'guitar', 'hammer', 'hat', 'key', 'ladder', 'lamp', 'pan', 'pencil', 'scissors',
           'shirt', 'shoe', 'spoon', 'table', 'television']


def anchor(p: Painter, rng: np.random.Generator) -> None:
    """Shank with ring, stock and two flukes."""
    thick = rng.uniform(0.12, 0.18)
    p.line(arc(0, 0.15, 0.7, 0.7, 20, 160, 12), thick, 'base')
    p.line([(0, -0.6), (0, 0.85)], thick, 'base')
    p.line([(-0.35, -0.4), (0.35, -0.4)], thick, 'base')
    p.line(arc(0, -0.75, 0.16, 0.16), 0.08, 'second')
    for s in (-1, 1):
        p.poly([(0.9 * s, 0.45), (0.7 * s, 0.05), (0.45 * s, 0.4)], 'base')


def balloon(p: Painter, rng: np.random.Generator) -> None:
    """Round balloon on a wavy string."""
    p.line([(0.06 * np.sin(t * 9), t) for t in np.linspace(0.3, 0.97, 9)], 0.05, 'dark')
    p.poly([(-0.1, 0.42), (0.1, 0.42), (0, 0.25)], 'base')
    p.ellipse(0, -0.32, rng.uniform(0.48, 0.6), 0.64, 'base')
    p.ellipse(-0.2, -0.55, 0.1, 0.16, 'light', turn=25, outline=False)


def bell(p: Painter, rng: np.random.Generator) -> None:
    """Flared bell with clapper and loop."""
    p.line(arc(0, -0.8, 0.13, 0.13), 0.07, 'second')
    p.ellipse(0, 0.72, 0.16, 0.16, 'accent')
    lip = rng.uniform(0.7, 0.85)
    p.poly([(-0.3, -0.6), (0, -0.72), (0.3, -0.6), (0.42, 0.1), (lip, 0.6), (-lip, 0.6), (-0.42, 0.1)], 'base')
    p.rect(-lip, 0.5, lip, 0.64, 'second')


def book(p: Painter, rng: np.random.Generator) -> None:
    """Open book with lines on both pages."""
    lift = rng.uniform(0.1, 0.25)
    p.poly([(-0.98, -0.5), (0.98, -0.5), (0.98, 0.6), (-0.98, 0.6)], 'base')
    for s in (-1, 1):
        p.poly([(0, -0.45), (0.5 * s, -0.45 - lift), (0.9 * s, -0.45), (0.9 * s, 0.5), (0.5 * s, 0.5 - lift), (0, 0.5)],
               'light')
        for y in (-0.25, 0.0, 0.25):
            p.line([(0.15 * s, y - 0.05), (0.75 * s, y - 0.12)], 0.04, 'dark', outline=False)


def bottle(p: Painter, rng: np.random.Generator) -> None:
    """Narrow neck, shoulders and a label."""
    wide, shoulder = rng.uniform(0.25, 0.38), rng.uniform(-0.35, -0.05)
    neck = wide * rng.uniform(0.3, 0.5)
    p.rect(-neck, -0.97, neck, -0.8, 'accent')
    p.poly([(-neck, -0.8), (neck, -0.8), (neck, shoulder - 0.2), (wide, shoulder + 0.05), (wide, 0.95), (-wide, 0.95),
            (-wide, shoulder + 0.05), (-neck, shoulder - 0.2)], 'base')
    p.rect(-wide, shoulder + 0.3, wide, shoulder + rng.uniform(0.6, 0.8), 'light')


def bucket(p: Painter, rng: np.random.Generator) -> None:
    """Open pail with a bow handle."""
    p.line(arc(0, -0.35, 0.65, rng.uniform(0.4, 0.6), 180, 360, 12), 0.06, 'dark')
    p.poly([(-0.7, -0.35), (0.7, -0.35), (0.48, 0.9), (-0.48, 0.9)], 'base')
    p.ellipse(0, -0.35, 0.7, 0.16, 'second')
    p.line([(-0.6, 0.1), (0.6, 0.1)], 0.08, 'accent', outline=False)


def candle(p: Painter, rng: np.random.Generator) -> None:
    """Stick with a flame in a holder."""
    p.line(arc(0.5, 0.7, 0.22, 0.2), 0.08, 'second')
    p.ellipse(0, 0.8, 0.55, 0.15, 'second')
    wide = rng.uniform(0.14, 0.24)
    p.rect(-wide, -0.35, wide, 0.75, 'base')
    p.line([(0, -0.35), (0, -0.5)], 0.04, 'dark')
    p.poly([(0, -0.98), (0.17, -0.6), (0, -0.45), (-0.17, -0.6)], 'accent', smooth=True)


def chair(p: Painter, rng: np.random.Generator) -> None:
    """Side view: tall back, seat, legs."""
    seat = rng.uniform(0.05, 0.25)
    for x in (-0.5, 0.5):
        p.line([(x, seat), (x * 1.1, 0.93)], 0.12, 'base')
    p.line([(-0.5, seat), (-0.62, -0.92)], 0.14, 'base')
    p.line([(-0.35, 0.55), (0.4, 0.55)], 0.08, 'base')
    p.poly([(-0.62, seat - 0.1), (0.65, seat - 0.1), (0.65, seat + 0.1), (-0.62, seat + 0.1)], 'second')


def clock(p: Painter, rng: np.random.Generator) -> None:
    """Dial with marks and two hands."""
    p.ellipse(0, 0, 0.93, 0.93, 'base')
    p.ellipse(0, 0, 0.72, 0.72, 'light')
    for a in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        c, s = np.cos(a), np.sin(a)
        p.line([(0.58 * c, 0.58 * s), (0.68 * c, 0.68 * s)], 0.05, 'dark', outline=False)
    for length in (0.35, 0.52):
        a = rng.uniform(0, 2 * np.pi)
        p.line([(0, 0), (length * np.cos(a), length * np.sin(a))], 0.08, 'dark', outline=False)


def crown(p: Painter, rng: np.random.Generator) -> None:
    """Band with jeweled points."""
    low, high, spikes = 0.55, rng.uniform(-0.7, -0.5), int(rng.integers(3, 6))
    tips = np.linspace(-0.9, 0.9, spikes)
    gap = tips[1] - tips[0]
    points = [(-0.7, low)]
    for x in tips:
        points += [(x, high + 0.2 * abs(x)), (x + gap / 2, 0.0)]
    p.poly([*points[:-1], (0.7, low)], 'base')
    p.rect(-0.72, 0.4, 0.72, 0.65, 'second')
    for x in tips:
        p.ellipse(x, high + 0.2 * abs(x), 0.1, 0.1, 'accent')


def envelope(p: Painter, rng: np.random.Generator) -> None:
    """Closed letter with a flap and a seal."""
    tall = rng.uniform(0.5, 0.65)
    p.rect(-0.93, -tall, 0.93, tall, rng.choice(['base', 'light']))
    p.line([(-0.93, tall), (-0.2, 0.05)], 0.04, 'dark', outline=False)
    p.line([(0.93, tall), (0.2, 0.05)], 0.04, 'dark', outline=False)
    p.poly([(-0.93, -tall), (0.93, -tall), (0, 0.2)], 'second')
    p.ellipse(0, 0.12, 0.13, 0.13, 'accent')


def glasses(p: Painter, rng: np.random.Generator) -> None:
    """Two lenses with bridge and temples."""
    size = rng.uniform(0.32, 0.42)
    p.line(arc(0, 0, 0.15, 0.12, 180, 360, 6), 0.1, 'base')
    for s in (-1, 1):
        p.line([(0.5 * s, -0.1), (0.97 * s, -rng.uniform(0.2, 0.5))], 0.09, 'base')
        p.ellipse(0.5 * s, 0, size + 0.09, size + 0.06, 'base')
        p.ellipse(0.5 * s, 0, size, size - 0.03, rng.choice(['light', 'dark']))


def guitar(p: Painter, rng: np.random.Generator) -> None:
    """Waisted body with a hole and a long neck."""
    p.line([(0, 0.2), (0, -0.8)], 0.13, 'second')
    p.rect(-0.13, -0.98, 0.13, -0.75, 'second')
    w = rng.uniform(0.38, 0.5)
    p.poly([(0, -0.15), (w * 0.8, -0.05), (w * 0.55, 0.25), (w, 0.6), (w * 0.6, 0.95), (0, 0.95), (-w * 0.6, 0.95),
            (-w, 0.6), (-w * 0.55, 0.25), (-w * 0.8, -0.05)], 'base', smooth=True)
    p.ellipse(0, 0.35, 0.15, 0.15, 'dark')
    p.rect(-0.2, 0.68, 0.2, 0.76, 'dark')


def hammer(p: Painter, rng: np.random.Generator) -> None:
    """Long handle through a head with a claw."""
    p.line([(0, -0.6), (0, 0.93)], rng.uniform(0.14, 0.2), 'second')
    head = rng.uniform(-0.8, -0.7)
    p.poly([(0.6, head - 0.18), (0.6, head + 0.22), (-0.2, head + 0.15), (-0.7, head + 0.35), (-0.3, head - 0.15)],
           'base')


def hat(p: Painter, rng: np.random.Generator) -> None:
    """Brim, crown and ribbon."""
    tall, wide = rng.uniform(0.5, 1.1), rng.uniform(0.45, 0.6)
    p.ellipse(0, 0.5, 0.95, 0.22, 'base')
    p.poly([(-wide, 0.5), (-wide * 0.85, 0.5 - tall), (0, 0.45 - tall), (wide * 0.85, 0.5 - tall), (wide, 0.5)], 'base')
    p.rect(-wide * 0.98, 0.28, wide * 0.98, 0.48, 'accent')


def key(p: Painter, rng: np.random.Generator) -> None:
    """Ring bow, shank and bits."""
    size = rng.uniform(0.25, 0.34)
    p.line([(-0.4, 0), (0.95, 0)], 0.14, 'base')
    for x in np.linspace(0.5, 0.88, int(rng.integers(2, 4))):
        p.line([(x, 0), (x, rng.uniform(0.2, 0.38))], 0.12, 'base')
    p.line(arc(-0.62, 0, size, size), 0.15, 'base')


def ladder(p: Painter, rng: np.random.Generator) -> None:
    """Two rails and rungs."""
    top, low = rng.uniform(0.22, 0.35), rng.uniform(0.3, 0.5)
    for y in np.linspace(-0.75, 0.75, int(rng.integers(4, 7))):
        w = top + (low - top) * (y + 1) / 2
        p.line([(-w, y), (w, y)], 0.1, 'second')
    for s in (-1, 1):
        p.line([(top * s, -0.93), (low * s, 0.93)], 0.13, 'base')


def lamp(p: Painter, rng: np.random.Generator) -> None:
    """Shade on a stem with a round foot."""
    p.line([(0, -0.2), (0, 0.8)], 0.09, 'dark')
    p.ellipse(0, 0.83, rng.uniform(0.35, 0.5), 0.12, 'second')
    top, low = rng.uniform(0.2, 0.4), rng.uniform(0.6, 0.8)
    p.poly([(-top, -0.93), (top, -0.93), (low, -0.05), (-low, -0.05)], 'base')


def pan(p: Painter, rng: np.random.Generator) -> None:
    """Round pan with a long handle, sometimes with an egg."""
    p.line([(0.2, 0), (0.95, 0)], 0.16, 'second')
    size = rng.uniform(0.52, 0.6)
    p.ellipse(-0.38, 0, size, size, 'base')
    p.ellipse(-0.38, 0, size - 0.13, size - 0.13, 'dark')
    if rng.random() < 0.5:
        p.ellipse(-0.4, 0.02, 0.3, 0.26, 'light')
        p.ellipse(-0.4, 0.0, 0.12, 0.12, 'accent')


def pencil(p: Painter, rng: np.random.Generator) -> None:
    """Shaft with a sharpened tip and a rubber."""
    wide = rng.uniform(0.13, 0.2)
    p.rect(-0.7, -wide, 0.6, wide, 'base')
    p.line([(-0.65, 0), (0.55, 0)], 0.04, 'dark', outline=False)
    p.poly([(0.6, -wide), (0.97, 0), (0.6, wide)], 'light')
    p.poly([(0.85, -wide * 0.35), (0.97, 0), (0.85, wide * 0.35)], 'dark')
    p.rect(-0.95, -wide, -0.72, wide, 'accent')


def scissors(p: Painter, rng: np.random.Generator) -> None:
    """Two crossed blades with ring handles."""
    spread = rng.uniform(0.2, 0.45)
    for s in (-1, 1):
        p.poly([(-0.12 * s, 0.2), (spread * s, -0.95), (0.15 * s, 0.15)], 'light')
        p.line([(0, 0.1), (-0.35 * s, 0.55)], 0.12, 'base')
        p.line(arc(-0.4 * s, 0.68, 0.2, 0.24), 0.12, 'base')
    p.ellipse(0, 0.1, 0.08, 0.08, 'dark')


def shirt(p: Painter, rng: np.random.Generator) -> None:
    """Torso with sleeves and a collar."""
    sleeve = rng.uniform(-0.2, 0.35)
    p.poly([(-0.25, -0.8), (0.25, -0.8), (0.55, -0.7), (0.97, sleeve), (0.7, sleeve + 0.2), (0.5, -0.2), (0.5, 0.85),
            (-0.5, 0.85), (-0.5, -0.2), (-0.7, sleeve + 0.2), (-0.97, sleeve), (-0.55, -0.7)], 'base')
    p.poly(arc(0, -0.82, 0.25, 0.25, 0, 180, 8), 'dark')
    p.line([(-0.45, 0.2), (0.45, 0.2)], rng.uniform(0.08, 0.3), 'accent', outline=False)


def shoe(p: Painter, rng: np.random.Generator) -> None:
    """Low shoe or boot from the side with sole and laces."""
    top = rng.uniform(-0.8, -0.2)
    p.poly([(-0.85, 0.45), (-0.8, top), (-0.25, top), (-0.1, -0.05), (0.5, 0.1), (0.92, 0.3), (0.95, 0.45)], 'base')
    p.rect(-0.88, 0.42, 0.97, 0.6, 'second')
    for x in (-0.05, 0.15, 0.33):
        p.line([(x - 0.12, 0.1), (x + 0.05, -0.02)], 0.05, 'light', outline=False)


def spoon(p: Painter, rng: np.random.Generator) -> None:
    """Oval bowl on a long handle."""
    p.line([(0, -0.2), (0, 0.95)], rng.uniform(0.1, 0.16), 'base')
    p.ellipse(0, -0.55, rng.uniform(0.27, 0.36), 0.42, 'base')
    p.ellipse(0, -0.55, 0.17, 0.28, 'second')


def table(p: Painter, rng: np.random.Generator) -> None:
    """Top on four legs with a drawer."""
    high = rng.uniform(-0.5, -0.2)
    for x in (-0.75, -0.4, 0.4, 0.75):
        p.line([(x, high), (x, 0.85 if abs(x) > 0.5 else 0.65)], 0.1, 'second')
    p.poly([(-0.75, high - 0.2), (0.75, high - 0.2), (0.97, high), (-0.97, high)], 'base')
    p.rect(-0.97, high, 0.97, high + rng.uniform(0.12, 0.25), 'base')


def television(p: Painter, rng: np.random.Generator) -> None:
    """Screen in a case with aerials and knobs."""
    for s in (-1, 1):
        p.line([(0, -0.5), (s * rng.uniform(0.25, 0.6), -0.95)], 0.05, 'dark')
        p.line([(0.5 * s, 0.7), (0.6 * s, 0.9)], 0.09, 'dark')
    p.rect(-0.88, -0.5, 0.88, 0.72, 'base')
    p.rect(-0.72, -0.36, 0.45, 0.58, 'light')
    for y in (-0.2, 0.1):
        p.ellipse(0.66, y, 0.1, 0.1, 'accent')
