"""Pictures of what models see."""

from .cam_visualizer import CAMVisualizer
from .sheet import colour_labels, compose_sheet, fit_cell, heat_overlay, write_caption

__all__ = ['CAMVisualizer', 'colour_labels', 'compose_sheet', 'fit_cell', 'heat_overlay', 'write_caption']
