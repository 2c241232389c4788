"""Plants and food of the pretraining set."""

import numpy as np

from mmwsss.sample_set.painter import Painter, arc

__all__ = ['apple', 'banana', 'cactus', 'carrot', 'cherries', 'flower', 'ice_cream', 'leaf', 'lollipop',
           'palm', 'pear', 'pine', 'pineapple', 'tree', 'tulip']


def apple(p: Painter, rng: np.random.Generator) -> None:
    """Round fruit with a dent, a stalk and a leaf."""
    wide = rng.uniform(0.65, 0.85)
    p.poly([(0, -0.35), (0.3, -0.5), (wide, -0.2), (wide * 0.8, 0.5), (0.25, 0.85), (0, 0.75), (-0.25, 0.85),
            (-wide * 0.8, 0.5), (-wide, -0.2), (-0.3, -0.5)], 'base', smooth=True)
    p.line([(0, -0.35), (rng.uniform(-0.1, 0.15), -0.85)], 0.08, 'dark')
    p.poly([(0.05, -0.55), (0.3, -0.85), (0.55, -0.75), (0.3, -0.55)], 'second', smooth=True)


def banana(p: Painter, rng: np.random.Generator) -> None:
    """Crescent with dark tips."""
    thick = rng.uniform(0.22, 0.38)
    p.poly([*arc(0, -0.5, 0.9, 1.0, 15, 165, 14), *arc(0, -0.5 - thick * 0.3, 0.8, 1.0 - thick, 160, 20, 14)], 'base')
    p.ellipse(0.85, -0.25, 0.09, 0.09, 'dark')
    p.ellipse(-0.85, -0.25, 0.07, 0.07, 'dark')


def cactus(p: Painter, rng: np.random.Generator) -> None:
    """Column with two bent arms in a pot."""
    for s in (-1, 1):
        y = rng.uniform(-0.2, 0.2)
        p.line([(0, y + 0.1), (0.45 * s, y + 0.1), (0.45 * s, y - rng.uniform(0.3, 0.5))], 0.2, 'base')
    p.line([(0, -0.78), (0, 0.6)], 0.32, 'base')
    p.poly([(-0.35, 0.5), (0.35, 0.5), (0.25, 0.95), (-0.25, 0.95)], 'second')


def carrot(p: Painter, rng: np.random.Generator) -> None:
    """Tapered root with a tuft."""
    for x in (-0.25, 0, 0.25):
        p.line([(0, -0.4), (x, rng.uniform(-0.98, -0.8))], 0.12, 'second')
    wide = rng.uniform(0.25, 0.4)
    p.poly([(-wide, -0.35), (0, -0.5), (wide, -0.35), (wide * 0.5, 0.4), (0, 0.97), (-wide * 0.5, 0.4)],
           'base', smooth=True)
    for y in (-0.2, 0.1, 0.4):
        p.line([(-wide * 0.5, y), (-0.02, y + 0.03)], 0.03, 'dark', outline=False)


def cherries(p: Painter, rng: np.random.Generator) -> None:
    """Two fruits on joined stalks."""
    x, y = rng.uniform(-0.1, 0.2), -0.9
    for cx, cy in ((-0.45, 0.5), (0.42, rng.uniform(0.4, 0.65))):
        p.line([(x, y), ((x + cx) / 2 + 0.1, -0.3), (cx, cy - 0.2)], 0.06, 'dark')
        p.ellipse(cx, cy, 0.36, 0.36, 'base')
        p.ellipse(cx - 0.12, cy - 0.12, 0.08, 0.06, 'light', outline=False)
    p.poly([(x, y), (x + 0.3, -0.98), (x + 0.6, -0.75), (x + 0.25, -0.7)], 'second', smooth=True)


def flower(p: Painter, rng: np.random.Generator) -> None:
    """Round petals about a disc on a stalk."""
    petals, cy = int(rng.integers(5, 9)), -0.35
    p.line([(0, cy), (rng.uniform(-0.1, 0.1), 0.95)], 0.09, 'second')
    p.poly([(0, 0.6), (0.3, 0.3), (0.55, 0.35), (0.35, 0.6)], 'second', smooth=True)
    size = rng.uniform(0.17, 0.24)
    for k in range(petals):
        a = 2 * np.pi * k / petals
        p.ellipse(0.36 * np.cos(a), cy + 0.36 * np.sin(a), 0.24, size, 'base', turn=np.degrees(a))
    p.ellipse(0, cy, 0.2, 0.2, 'accent')


def ice_cream(p: Painter, rng: np.random.Generator) -> None:
    """One to three scoops on a cone."""
    p.poly([(-0.38, 0.05), (0.38, 0.05), (0, 0.97)], 'second')
    for x, y, paint in ((-0.22, -0.1, 'base'), (0.22, -0.1, 'light'), (0, -0.5, 'accent')):
        if paint != 'accent' or rng.random() < 0.7:
            p.ellipse(x, y, 0.33, 0.3, paint)


def leaf(p: Painter, rng: np.random.Generator) -> None:
    """Pointed blade with veins."""
    wide = rng.uniform(0.4, 0.65)
    p.line([(0, 0.4), (0.05, 0.98)], 0.07, 'dark')
    p.poly([(0, -0.97), (wide * 0.7, -0.4), (wide, 0.1), (wide * 0.5, 0.6), (0, 0.75), (-wide * 0.5, 0.6),
            (-wide, 0.1), (-wide * 0.7, -0.4)], 'base', smooth=True)
    p.line([(0, -0.85), (0, 0.75)], 0.05, 'dark', outline=False)
    for y in np.linspace(-0.4, 0.5, 4):
        for s in (-1, 1):
            p.line([(0, y), (s * wide * 0.65, y - 0.2)], 0.03, 'dark', outline=False)


def lollipop(p: Painter, rng: np.random.Generator) -> None:
    """Swirled disc on a stick."""
    radius = rng.uniform(0.48, 0.6)
    p.line([(0, -0.35), (0, 0.97)], rng.uniform(0.07, 0.12), 'light')
    p.ellipse(0, -0.4, radius, radius, 'base')
    turns = rng.uniform(9, 14)
    p.line([(radius * 0.9 * t * np.cos(t * turns), -0.4 + radius * 0.9 * t * np.sin(t * turns))
            for t in np.linspace(0, 1, 30)], 0.1, 'accent', outline=False)


def palm(p: Painter, rng: np.random.Generator) -> None:
    """Curved trunk with a crown of long leaves."""
    lean = rng.uniform(-0.3, 0.3)
    p.line([(lean, 0.95), (lean * 0.3, 0.3), (0, -0.4)], 0.15, 'second')
    for a in np.radians([-170, -140, -90, -40, -10, 25, 155]):
        reach = rng.uniform(0.6, 0.85)
        tip = (reach * np.cos(a), -0.4 + reach * 0.6 * np.sin(a) + 0.15)
        side = (0.5 * tip[0] - 0.1 * np.sin(a), -0.6 + 0.25 * np.sin(a))
        p.poly([(0, -0.4), side, tip, (0.5 * tip[0], 0.5 * (tip[1] - 0.4) + 0.12)], 'base', smooth=True)


def pear(p: Painter, rng: np.random.Generator) -> None:
    """Fruit with a narrow neck."""
    wide, neck = rng.uniform(0.5, 0.7), rng.uniform(0.2, 0.3)
    p.line([(0, -0.6), (0.1, -0.95)], 0.08, 'dark')
    p.poly([(0, -0.75), (neck, -0.6), (neck + 0.08, -0.2), (wide, 0.4), (wide * 0.6, 0.85), (0, 0.92),
            (-wide * 0.6, 0.85), (-wide, 0.4), (-neck - 0.08, -0.2), (-neck, -0.6)], 'base', smooth=True)


def pine(p: Painter, rng: np.random.Generator) -> None:
    """Stacked triangular tiers on a trunk."""
    p.rect(-0.12, 0.5, 0.12, 0.95, 'second')
    tiers = int(rng.integers(3, 5))
    for k in reversed(range(tiers)):
        top, low = -0.97 + k * 1.2 / tiers, -0.97 + (k + 1.7) * 1.2 / tiers
        wide = 0.35 + 0.35 * k / (tiers - 1)
        p.poly([(0, top), (wide, min(low, 0.65)), (-wide, min(low, 0.65))], 'base')


def pineapple(p: Painter, rng: np.random.Generator) -> None:
    """Hatched oval with a leafy crown."""
    for a in np.linspace(-150, -30, 5):
        r = np.radians(a)
        p.poly([(-0.12, -0.2), (0.7 * np.cos(r), -0.25 + 0.75 * np.sin(r)), (0.12, -0.2)], 'second')
    wide = rng.uniform(0.38, 0.5)
    p.ellipse(0, 0.35, wide, 0.6, 'base')
    for k in (-0.3, 0.0, 0.3):
        p.line([(-0.3, 0.35 + k - 0.2), (0.3, 0.35 + k + 0.2)], 0.03, 'dark', outline=False)
        p.line([(-0.3, 0.35 + k + 0.2), (0.3, 0.35 + k - 0.2)], 0.03, 'dark', outline=False)


def tree(p: Painter, rng: np.random.Generator) -> None:
    """Crown of several round masses on a forked trunk."""
    p.poly([(-0.12, 0.95), (-0.08, 0.0), (0.08, 0.0), (0.14, 0.95)], 'second')
    p.line([(0, 0.4), (0.3, 0.0)], 0.08, 'second')
    for _ in range(rng.integers(4, 8)):
        x, y = rng.uniform(-0.45, 0.45), rng.uniform(-0.65, -0.1)
        p.ellipse(x, y, rng.uniform(0.28, 0.4), rng.uniform(0.26, 0.36), 'base')


def tulip(p: Painter, rng: np.random.Generator) -> None:
    """Cup of three petals with long leaves."""
    p.line([(0, -0.2), (0, 0.95)], 0.09, 'second')
    for s in (-1, 1):
        p.poly([(0, 0.9), (0.35 * s, 0.4), (0.5 * s, rng.uniform(-0.1, 0.2)), (0.12 * s, 0.5)], 'second', smooth=True)
    wide = rng.uniform(0.35, 0.48)
    p.poly([(-wide, -0.9), (-wide * 0.4, -0.55), (0, -0.97), (wide * 0.4, -0.55), (wide, -0.9), (wide * 0.95, -0.3),
            (0, 0.02), (-wide * 0.95, -0.3)], 'base')
