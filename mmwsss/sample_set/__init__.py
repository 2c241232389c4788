"""The generated sample set: drawing, compositing and writing."""

from .scene import Scene, draw_scene
from .shapes import SAMPLE_SHAPES
from .writer import SAMPLE_CLASSES, SAMPLE_PALETTE, summarize_labels, write_sample_set

__all__ = [
    'SAMPLE_CLASSES', 'SAMPLE_PALETTE', 'SAMPLE_SHAPES', 'Scene', 'draw_scene', 'summarize_labels',
    'write_sample_set'
]
