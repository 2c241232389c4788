"""Drawing functions by class name: ``shape(painter, rng)`` paints one object of its class."""

from mmwsss.sample_set import SAMPLE_SHAPES

from . import animals, household, plants_food, symbols, vehicles_buildings

__all__ = ['PRETRAINING_SHAPES']

PRETRAINING_SHAPES = {
    **SAMPLE_SHAPES,
    **{name: getattr(module, name)
       for module in (animals, household, plants_food, symbols, vehicles_buildings) for name in module.__all__}
}
PRETRAINING_SHAPES = dict(sorted(PRETRAINING_SHAPES.items()))
