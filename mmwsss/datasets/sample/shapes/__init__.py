"""Drawing functions by class name: ``shape(painter, rng)`` paints one object of its class."""

from .core import boat, butterfly, car, cup, fish, house, mushroom, umbrella

__all__ = ['SAMPLE_SHAPES']

SAMPLE_SHAPES = {
    'boat': boat,
    'butterfly': butterfly,
    'car': car,
    'cup': cup,
    'fish': fish,
    'house': house,
    'mushroom': mushroom,
    'umbrella': umbrella}
