"""Pictures of what models see."""

from .cam_visualizer import CAMVisualizer
from .sheet import color_labels, compose_sheet, fit_cell, heat_overlay, write_caption

__all__ = ['CAMVisualizer', 'color_labels', 'compose_sheet', 'fit_cell', 'heat_overlay', 'write_caption']
