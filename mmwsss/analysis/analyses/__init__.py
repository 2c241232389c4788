"""Analyses: the figures of the papers, which ``tools/analyze.py`` runs by name."""

from .base import ANALYSES, Analysis, ModelAnalysis, RunAnalysis, Sample, build_analysis, known_analyses
from .cam_table import CamTable, CouplingTable, ThresholdCurves
from .layer_maps import FirstLayers, LastLayers, LayerMaps, LayerSets
from .tables import AnalysisTable
from .token_similarity import TokenSimilarity, mean_token_similarity

__all__ = [
    'ANALYSES', 'Analysis', 'AnalysisTable', 'CamTable', 'CouplingTable', 'FirstLayers', 'LastLayers', 'LayerMaps',
    'LayerSets', 'ModelAnalysis', 'RunAnalysis', 'Sample', 'ThresholdCurves', 'TokenSimilarity', 'build_analysis',
    'known_analyses', 'mean_token_similarity'
]
