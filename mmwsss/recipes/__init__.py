"""Recipes: run all stages of a method, from image labels to results, by one command."""

from .photo_stages import Predict, SuggestThreshold
from .progress import ProgressRunner, StageWork, duration
from .report import results_table, write_report
from .runner import RecipeRunner, StageError
from .schema import STAGES, Recipe, RecipeContext, RecipeError, Stage, read_recipe, shorten_recipe
from .seeds import parse_seeds, repeat_for_seeds, spread_table
from .stages import CamTable, EvaluateLabels, PseudoLabels, Script, Test, Train
from .sweep import Sweep, SweepRun, read_sweep
from .sweep_table import SweepRow, sweep_rows, sweep_table, write_sweep

__all__ = [
    'STAGES', 'CamTable', 'EvaluateLabels', 'Predict', 'ProgressRunner', 'PseudoLabels', 'Recipe', 'RecipeContext',
    'RecipeError', 'RecipeRunner', 'Script', 'Stage', 'StageError', 'StageWork', 'SuggestThreshold', 'Sweep',
    'SweepRow', 'SweepRun', 'Test', 'Train', 'duration', 'parse_seeds', 'read_recipe', 'read_sweep', 'repeat_for_seeds',
    'results_table', 'shorten_recipe', 'spread_table', 'sweep_rows', 'sweep_table', 'write_report', 'write_sweep'
]
