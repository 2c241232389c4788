"""Figures: sheets of pictures, overlays and plots, and the analyses of the papers."""

from .analyses import (
    ANALYSES,
    Analysis,
    ModelAnalysis,
    RunAnalysis,
    Sample,
    build_analysis,
    known_analyses,
)
from .cam_visualizer import CAMVisualizer
from .gallery import GalleryItem, thumbnail, write_gallery
from .label_sheet import draw_label_sheet
from .overlay import overlay, show_cams
from .plots import (
    plot_class_iou,
    plot_maps_over_setting,
    plot_maps_over_thresholds,
    plot_rates_over_thresholds,
)
from .quality import PhotoQuality, count_parts, judge_photo, label_agreement
from .sheet import color_labels, compose_sheet, fit_cell, heat_overlay, write_caption

__all__ = [
    'ANALYSES', 'Analysis', 'CAMVisualizer', 'GalleryItem', 'ModelAnalysis', 'PhotoQuality', 'RunAnalysis', 'Sample',
    'build_analysis', 'color_labels', 'compose_sheet', 'count_parts', 'draw_label_sheet', 'fit_cell', 'heat_overlay',
    'judge_photo', 'known_analyses', 'label_agreement', 'overlay', 'plot_class_iou', 'plot_maps_over_setting',
    'plot_maps_over_thresholds', 'plot_rates_over_thresholds', 'show_cams', 'thumbnail', 'write_caption',
    'write_gallery'
]
