"""Analyses: the figures of the papers, which ``tools/analyze.py`` runs by name."""

from .affinity import AffinityMatrices, AttendedTokens, HellingerDistance
from .base import (
    ANALYSES,
    Analysis,
    ModelAnalysis,
    RunAnalysis,
    Sample,
    build_analysis,
    known_analyses,
)
from .cam_table import CamTable, CouplingTable, ThresholdCurves
from .costs import Costs
from .layer_maps import FirstLayers, LastLayers, LayerMaps, LayerSets
from .matrices import diagonal_share, effective_keys, foreground_mass, hellinger_distances, token_foreground
from .panels import CamPanels, SegmentationPanels
from .run_results import ClassTable, Scatter, StageTimes, SupervisionRatio
from .sweep_plot import SweepPlot
from .tables import AnalysisTable
from .token_similarity import SimilarityMap, TokenSimilarity, mean_token_similarity

__all__ = [
    'ANALYSES', 'AffinityMatrices', 'Analysis', 'AnalysisTable', 'AttendedTokens', 'CamPanels', 'CamTable',
    'ClassTable', 'Costs', 'CouplingTable', 'FirstLayers', 'HellingerDistance', 'LastLayers', 'LayerMaps', 'LayerSets',
    'ModelAnalysis', 'RunAnalysis', 'Sample', 'Scatter', 'SegmentationPanels', 'SimilarityMap', 'StageTimes',
    'SupervisionRatio', 'SweepPlot', 'ThresholdCurves', 'TokenSimilarity', 'build_analysis', 'diagonal_share',
    'effective_keys', 'foreground_mass', 'hellinger_distances', 'known_analyses', 'mean_token_similarity',
    'token_foreground'
]
