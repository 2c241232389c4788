"""Data sets, image-level labels and samplers."""

from . import transforms
from .sampling import IterationSampler, SampleIndex, derive_seed, seeded_sample

__all__ = ['IterationSampler', 'SampleIndex', 'derive_seed', 'seeded_sample', 'transforms']
