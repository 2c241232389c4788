"""Recipes: run all stages of a method, from image labels to results, by one command."""

from .photo_stages import Predict, SuggestThreshold
from .progress import ProgressRunner, StageWork, duration
from .report import results_table, write_report
from .runner import RecipeRunner, StageError
from .schema import STAGES, Recipe, RecipeContext, RecipeError, Stage, read_recipe, shorten_recipe
from .seeds import parse_seeds, repeat_for_seeds, spread_table
from .stages import CamTable, EvaluateLabels, PseudoLabels, Script, Test, Train

__all__ = [
    'STAGES', 'CamTable', 'EvaluateLabels', 'Predict', 'ProgressRunner', 'PseudoLabels', 'Recipe', 'RecipeContext',
    'RecipeError', 'RecipeRunner', 'Script', 'Stage', 'StageError', 'StageWork', 'SuggestThreshold', 'Test', 'Train',
    'duration', 'parse_seeds', 'read_recipe', 'repeat_for_seeds', 'results_table', 'shorten_recipe', 'spread_table',
    'write_report'
]
