"""Recipes: the stages from image labels to a number, run by one command."""

from .fingerprint import content_digest, stage_fingerprint
from .kinds import STAGE_KINDS, StageKind, stage_kind
from .launch import Tools, num_processes
from .place import Place
from .recipe import Recipe, RecipeError, Stage, read_recipe, shortened
from .report import rich_table, write_report
from .runner import RecipeRunner
from .stages import CamTable, EvaluateLabels, PseudoLabels, Script, Test, Train

__all__ = [
    'CamTable', 'EvaluateLabels', 'Place', 'PseudoLabels', 'Recipe', 'RecipeError', 'RecipeRunner', 'STAGE_KINDS',
    'Script', 'Stage', 'StageKind', 'Test', 'Tools', 'Train', 'content_digest', 'num_processes', 'read_recipe',
    'rich_table', 'shortened', 'stage_fingerprint', 'stage_kind', 'write_report'
]
