"""Recipes: run all stages of a method, from image labels to results, by one command."""

from .claims import claim_recipe_name, compare, decide, read_claims
from .claims_page import claims_page, read_runs, write_claims_page, write_run
from .photo_stages import Predict, SuggestThreshold
from .progress import ProgressRunner, StageWork, duration
from .report import results_table, write_report
from .runner import RecipeRunner, StageError
from .schema import STAGES, Recipe, RecipeContext, RecipeError, Stage, read_recipe, shorten_recipe
from .seeds import parse_seeds, repeat_for_seeds, spread_table
from .stages import CamTable, EvaluateLabels, PseudoLabels, Script, Test, Train

__all__ = [
    'CamTable', 'EvaluateLabels', 'Predict', 'ProgressRunner', 'PseudoLabels', 'Recipe', 'RecipeContext',
    'RecipeError', 'RecipeRunner', 'STAGES', 'Script', 'Stage', 'StageError', 'StageWork', 'SuggestThreshold',
    'Test', 'Train', 'claim_recipe_name', 'claims_page', 'compare', 'decide', 'duration', 'parse_seeds',
    'read_claims', 'read_recipe', 'read_runs', 'repeat_for_seeds', 'results_table', 'shorten_recipe',
    'spread_table', 'write_claims_page', 'write_report', 'write_run'
]
