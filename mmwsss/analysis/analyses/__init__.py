"""Analyses: the figures of the papers, which ``tools/analyze.py`` runs by name."""

from .affinity import AffinityMatrices, AttendedTokens, HellingerDistance
from .base import ANALYSES, Analysis, ModelAnalysis, RunAnalysis, Sample, build_analysis, known_analyses
from .cam_table import CamTable, CouplingTable, ThresholdCurves
from .class_attention import ClassAttention, HeadAttention, ReferencePoint, weighted_mean
from .costs import Costs
from .drawing import draw_layer_curves, draw_panels
from .head_statistics import HeadStatistics, StreamingPearson
from .layer_entropy import LayerEntropies
from .layer_maps import FirstLayers, LastLayers, LayerMaps, LayerSets
from .matrices import diagonal_share, effective_keys, foreground_mass, hellinger_distances, token_foreground
from .observations import ClassHeadRows, LayerHeadAttention, LayerPatchAttention, LayerTokens, PointHeadRows
from .panels import CamPanels, SegmentationPanels
from .records import encode_photo, rounded, runs_of, spread
from .run_results import ClassTable, Scatter, StageTimes, SupervisionRatio
from .sweep_plot import SweepPlot
from .tables import AnalysisTable
from .token_similarity import SimilarityMap, TokenSimilarity, mean_token_similarity
from .trainings import ClippingPrecision, Reactivation

__all__ = [
    'ANALYSES', 'AffinityMatrices', 'Analysis', 'AnalysisTable', 'AttendedTokens', 'CamPanels', 'CamTable',
    'ClassAttention', 'ClassHeadRows', 'ClassTable', 'ClippingPrecision', 'Costs', 'CouplingTable', 'FirstLayers',
    'HeadAttention', 'HeadStatistics', 'HellingerDistance', 'LastLayers', 'LayerEntropies', 'LayerHeadAttention',
    'LayerMaps', 'LayerPatchAttention', 'LayerSets', 'LayerTokens', 'ModelAnalysis', 'PointHeadRows',
    'Reactivation', 'ReferencePoint', 'RunAnalysis', 'Sample', 'Scatter', 'SegmentationPanels', 'SimilarityMap',
    'StageTimes', 'StreamingPearson', 'SupervisionRatio', 'SweepPlot', 'ThresholdCurves', 'TokenSimilarity',
    'build_analysis', 'diagonal_share', 'draw_layer_curves', 'draw_panels', 'effective_keys', 'encode_photo',
    'foreground_mass', 'hellinger_distances', 'known_analyses', 'mean_token_similarity', 'rounded', 'runs_of',
    'spread', 'token_foreground', 'weighted_mean'
]
