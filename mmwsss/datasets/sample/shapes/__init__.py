"""Drawing functions by class name: ``shape(painter, rng)`` paints one object of its class."""

from . import animals, core, household, plants_food, symbols, vehicles_buildings

__all__ = ['PRETRAIN_SHAPES', 'SAMPLE_SHAPES']

SAMPLE_SHAPES = {name: getattr(core, name) for name in sorted(core.__all__)}
PRETRAIN_SHAPES = dict(
    sorted((name, getattr(module, name))
           for module in (animals, core, household, plants_food, symbols, vehicles_buildings)
           for name in module.__all__))
