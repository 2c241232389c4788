"""The eight foreground classes of the sample set, each drawn from several parts of varying form."""

import numpy as np

from .painter import Painter, arc

__all__ = ['SAMPLE_SHAPES']


def boat(p: Painter, rng: np.random.Generator) -> None:
    """Hull with a mast and sails, or with a cabin and a funnel."""
    deck, keel = rng.uniform(0.3, 0.45), rng.uniform(0.75, 0.9)
    bow = rng.uniform(0.85, 1.0)
    if rng.random() < 0.6:
        mast = rng.uniform(-0.15, 0.15)
        p.line([(mast, deck), (mast, -0.98)], 0.06, 'dark')
        foot = deck - rng.uniform(0.08, 0.2)
        p.poly([(mast + 0.05, -0.9), (mast + 0.05, foot), (mast + rng.uniform(0.55, 0.75), foot)],
               'second')
        if rng.random() < 0.8:
            p.poly([(mast - 0.05, -0.75), (mast - 0.05, foot),
                    (mast - rng.uniform(0.4, 0.65), foot)], rng.choice(['second', 'light']))
        p.poly([(mast, -0.98), (mast, -0.84), (mast - 0.25, -0.91)], 'accent')
    else:
        left, right = rng.uniform(-0.65, -0.4), rng.uniform(0.2, 0.5)
        roof = deck - rng.uniform(0.4, 0.55)
        stack = rng.uniform(left + 0.15, right - 0.35)
        p.rect(stack, roof - rng.uniform(0.3, 0.5), stack + 0.2, roof + 0.05, 'accent')
        p.rect(left, roof, right, deck + 0.05, 'second')
        for x in np.linspace(left + 0.15, right - 0.15, rng.integers(2, 5)):
            p.ellipse(x, (roof + deck) / 2, 0.07, 0.07, 'light')
    p.poly([(-0.95, deck), (bow, deck - rng.uniform(0, 0.12)), (bow - 0.3, keel), (-0.7, keel)],
           'base')
    if rng.random() < 0.6:
        p.line([(-0.85, deck + 0.14), (bow - 0.14, deck + 0.12)], 0.06, 'light', outline=False)


def butterfly(p: Painter, rng: np.random.Generator) -> None:
    """Four spotted wings around a slim body with feelers."""
    up, spread, down = rng.uniform(0.7, 0.95), rng.uniform(0.75, 1.0), rng.uniform(0.6, 0.9)
    spot = rng.uniform(0.08, 0.18)
    for side in (-1, 1):
        p.poly([(0.05 * side, 0.0), (0.35 * side, 0.05), (0.75 * side * spread, 0.3),
                (0.55 * side, down), (0.2 * side, 0.65 * down)], 'second', smooth=True)
        p.poly([(0.05 * side, 0.1), (0.25 * side, -0.5), (0.7 * side * spread, -up),
                (spread * side, -0.55), (0.75 * side * spread, 0.05)], 'base', smooth=True)
        p.ellipse(0.62 * side * spread, -0.48, spot, spot * 1.2, 'accent')
        p.ellipse(0.45 * side * spread, 0.4, spot * 0.8, spot * 0.8, 'light')
        p.line([(0.02 * side, -0.35), (0.12 * side, -0.65), (0.25 * side, -0.8)], 0.04, 'dark',
               outline=False)
    p.ellipse(0, 0.08, 0.08, 0.5, 'dark')
    p.ellipse(0, -0.4, 0.1, 0.1, 'dark')


def car(p: Painter, rng: np.random.Generator) -> None:
    """Side view: body, cabin with panes, two wheels, lamps."""
    belt, floor = rng.uniform(-0.1, 0.02), rng.uniform(0.36, 0.45)
    roof = belt - rng.uniform(0.35, 0.5)
    rear, front = rng.uniform(-0.85, -0.5), rng.uniform(0.25, 0.5)
    slope = rng.uniform(0.1, 0.35)
    p.poly([(rear, belt + 0.05), (rear + slope * 0.7, roof), (front - slope, roof),
            (front + 0.1, belt + 0.05)], 'base')
    middle = (rear + front) / 2
    for x0, x1, lean0, lean1 in ((rear + 0.08, middle - 0.04, slope * 0.6, 0.0),
                                 (middle + 0.04, front, 0.0, slope * 0.9)):
        p.poly([(x0, belt), (x0 + lean0, roof + 0.08), (x1 - lean1, roof + 0.08), (x1, belt)],
               'light')
    p.poly([(-1.0, floor), (-0.98, belt + 0.05), (-0.8, belt), (front, belt),
            (0.85, belt + rng.uniform(0.05, 0.15)), (1.0, belt + 0.25), (1.0, floor)], 'base')
    p.line([(-0.95, floor - 0.1), (0.95, floor - 0.1)], 0.07, 'second', outline=False)
    p.ellipse(0.93, belt + 0.22, 0.07, 0.07, 'accent')
    wheel = rng.uniform(0.2, 0.27)
    for x in (-0.55, 0.55):
        p.ellipse(x, floor, wheel, wheel, 'dark')
        p.ellipse(x, floor, wheel * 0.5, wheel * 0.5, 'light')


def cup(p: Painter, rng: np.random.Generator) -> None:
    """Tapered mug with a handle, a visible rim and sometimes steam or a saucer."""
    rim, foot = rng.uniform(0.5, 0.65), rng.uniform(0.35, 0.55)
    top, bottom = rng.uniform(-0.6, -0.4), rng.uniform(0.65, 0.85)
    shift = -0.15
    if rng.random() < 0.4:
        p.ellipse(shift, bottom + 0.02, foot + 0.35, 0.12, 'second')
    height = bottom - top
    handle = arc(shift + (rim + foot) / 2, top + height * 0.45, rng.uniform(0.28, 0.42),
                 height * rng.uniform(0.25, 0.32), -95, 95, 14)
    p.line(handle, rng.uniform(0.11, 0.17), 'base')
    p.poly([(shift - rim, top), *arc(shift, bottom - 0.08, foot, 0.1, 170, 10, 10),
            (shift + rim, top)], 'base')
    level = top + height * rng.uniform(0.25, 0.55)
    if rng.random() < 0.7:
        width = rim + (foot - rim) * (level - top) / height
        p.line([(shift - width + 0.08, level), (shift + width - 0.08, level)],
               rng.uniform(0.08, 0.2), 'accent', outline=False)
    p.ellipse(shift, top, rim, 0.15, 'light')
    p.ellipse(shift, top + 0.02, rim - 0.1, 0.09, 'dark')
    if rng.random() < 0.4:
        for x in (-0.35, 0.0):
            p.line([(x, top - 0.05), (x + 0.08, top - 0.18), (x - 0.04, top - 0.3),
                    (x + 0.05, top - 0.42)], 0.05, 'light', outline=False)


def fish(p: Painter, rng: np.random.Generator) -> None:
    """Oval body with a forked tail, fins, an eye, gills and sometimes bands."""
    belly, tail = rng.uniform(0.3, 0.55), rng.uniform(0.3, 0.5)
    p.poly([(-0.35, -belly * 0.8), (-0.1, -belly - rng.uniform(0.2, 0.35)), (0.35, -belly * 0.7)],
           'second')
    p.poly([(-0.1, belly * 0.8), (-0.25, belly + rng.uniform(0.12, 0.3)), (0.15, belly * 0.85)],
           'second')
    p.poly([(-0.5, 0), (-0.98, -tail), (-0.8, 0), (-0.98, tail)], 'second',
           smooth=rng.random() < 0.3)
    p.poly([(0.98, 0.02), (0.65, -belly * 0.75), (0.1, -belly), (-0.45, -belly * 0.45), (-0.62, 0),
            (-0.45, belly * 0.45), (0.1, belly), (0.65, belly * 0.75)], 'base', smooth=True)
    for x in np.linspace(-0.3, 0.25, rng.integers(0, 4)):
        p.line([(x, -belly * 0.6), (x + 0.05, 0), (x, belly * 0.6)], 0.07, 'accent', outline=False)
    p.line(arc(0.4, 0, 0.12, belly * 0.6, -70, 70, 8), 0.04, 'dark', outline=False)
    p.poly([(0.2, 0.08), (-0.08, rng.uniform(0.2, 0.35)), (0.05, 0.02)], 'second')
    eye = rng.uniform(0.07, 0.12)
    p.ellipse(0.68, -belly * 0.25, eye, eye, 'light')
    p.ellipse(0.7, -belly * 0.25, eye * 0.5, eye * 0.5, 'dark', outline=False)


def house(p: Painter, rng: np.random.Generator) -> None:
    """Wall with door and windows under a gable roof with a chimney."""
    eaves, wide = rng.uniform(-0.2, 0.05), rng.uniform(0.6, 0.8)
    peak = rng.uniform(-0.98, -0.8)
    chimney = rng.choice([-1, 1]) * rng.uniform(0.3, 0.45)
    p.rect(chimney - 0.09, peak + 0.1, chimney + 0.09, eaves, 'accent')
    p.rect(-wide, eaves - 0.03, wide, 0.92, 'base')
    top = rng.uniform(0, 0.35)
    p.poly([(-wide - 0.2, eaves), (-top, peak), (top, peak), (wide + 0.2, eaves)], 'second')
    door = rng.uniform(-0.35, 0.35) * wide
    p.rect(door - 0.14, rng.uniform(0.3, 0.4), door + 0.14, 0.92, 'dark')
    for x in (-0.62, 0.62):
        if abs(x * wide - door) < 0.3:
            continue
        half = rng.uniform(0.11, 0.16)
        p.rect(x * wide - half, 0.18, x * wide + half, 0.18 + 2 * half, 'light')
        p.line([(x * wide, 0.18), (x * wide, 0.18 + 2 * half)], 0.03, 'dark', outline=False)
        p.line([(x * wide - half, 0.18 + half), (x * wide + half, 0.18 + half)], 0.03, 'dark',
               outline=False)
    if rng.random() < 0.5:
        p.ellipse(0, eaves + (peak - eaves) * 0.4, 0.12, 0.12, 'light')


def mushroom(p: Painter, rng: np.random.Generator) -> None:
    """Domed or pointed cap with spots on a thick stem."""
    wide, lip = rng.uniform(0.7, 0.98), rng.uniform(-0.05, 0.2)
    stem, foot = rng.uniform(0.15, 0.25), rng.uniform(0.2, 0.38)
    bend = rng.uniform(-0.12, 0.12)
    p.poly([(-stem, lip - 0.1), (stem, lip - 0.1), (stem + bend, 0.5), (foot + bend, 0.92),
            (-foot + bend, 0.92), (-stem + bend, 0.5)], 'light', smooth=True)
    if rng.random() < 0.5:
        p.poly([(-stem - 0.08, lip + 0.18), (0, lip + 0.1), (stem + 0.08, lip + 0.18),
                (stem + 0.15, lip + 0.32), (-stem - 0.15, lip + 0.32)], 'second')
    crown = rng.uniform(0.65, 1.0)
    p.poly([*arc(0, lip, wide, crown, 180, 360, 16), (wide * 0.5, lip + 0.12), (0, lip + 0.15),
            (-wide * 0.5, lip + 0.12)], 'base', smooth=True)
    for _ in range(rng.integers(2, 7)):
        angle, reach = rng.uniform(np.pi, 2 * np.pi), rng.uniform(0.1, 0.75)
        size = rng.uniform(0.05, 0.13)
        p.ellipse(wide * reach * np.cos(angle), lip - 0.08 + crown * reach * np.sin(angle) * 0.9,
                  size * 1.2, size, 'accent', outline=False)


def umbrella(p: Painter, rng: np.random.Generator) -> None:
    """Scalloped canopy of several panels on a stick with a hook."""
    wide, edge = rng.uniform(0.85, 1.0), rng.uniform(-0.1, 0.1)
    hook = rng.choice([-1, 1]) * rng.uniform(0.12, 0.2)
    p.line([(0, -0.95), (0, 0.78), *arc(hook, 0.78, abs(hook), 0.16, *((180, 20) if hook > 0 else
                                                                       (0, 160)), 8)],
           rng.uniform(0.05, 0.09), 'dark')
    panels = int(rng.integers(3, 6))
    ribs = np.linspace(-wide, wide, panels + 1)
    crown = rng.uniform(0.65, 0.85)
    for index, (x0, x1) in enumerate(zip(ribs[:-1], ribs[1:])):
        outline = []
        for x in np.linspace(x0, x1, 6):
            outline.append((x, edge - crown * np.sqrt(max(0.0, 1 - (x / wide)**2))))
        scallop = arc((x0 + x1) / 2, edge, (x1 - x0) / 2, 0.1, 0, -180, 7)
        p.poly([*outline, *scallop], 'base' if index % 2 else 'second')
    p.ellipse(0, edge - crown - 0.05, 0.04, 0.08, 'dark')


SAMPLE_SHAPES = {
    'boat': boat,
    'butterfly': butterfly,
    'car': car,
    'cup': cup,
    'fish': fish,
    'house': house,
    'mushroom': mushroom,
    'umbrella': umbrella,
}
"""dict[str, Callable]: Class name -> ``shape(painter, rng)``, which paints one object of the class."""
