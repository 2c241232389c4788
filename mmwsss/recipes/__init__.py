"""Recipes: run all stages of a method, from image labels to results, by one command."""

from .claims import claim_recipe_name, compare, decide, read_claims
from .claims_page import claims_page, read_runs, write_claims_page, write_run
from .command_line import recipe_context
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
    'SweepRow', 'SweepRun', 'Test', 'Train', 'claim_recipe_name', 'claims_page', 'compare', 'decide', 'duration',
    'parse_seeds', 'read_claims', 'read_recipe', 'read_runs', 'read_sweep', 'recipe_context', 'repeat_for_seeds',
    'results_table', 'shorten_recipe', 'spread_table', 'sweep_rows', 'sweep_table', 'write_claims_page',
    'write_report', 'write_run', 'write_sweep'
]
