"""Analyses: the figures of the papers, which ``tools/analyze.py`` runs by name."""

from .base import ANALYSES, Analysis, ModelAnalysis, RunAnalysis, Sample, build_analysis, known_analyses
from .token_similarity import TokenSimilarity, mean_token_similarity

__all__ = [
    'ANALYSES', 'Analysis', 'ModelAnalysis', 'RunAnalysis', 'Sample', 'TokenSimilarity', 'build_analysis', 'known_analyses',
    'mean_token_similarity'
]
