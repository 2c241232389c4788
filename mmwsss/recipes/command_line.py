"""What the tools that run recipes make of their common flags."""

import argparse
from pathlib import Path

from mmwsss.utils.commands import ToolCommands, default_num_processes

from .schema import Recipe, RecipeContext
from .seeds import parse_seeds, repeat_for_seeds

__all__ = ['recipe_context']


def recipe_context(recipe: Recipe, root: Path, args: argparse.Namespace) -> RecipeContext:
    """Build the context of a recipe, which is repeated for the seeds that are asked for.

    A short run of a recipe that generates its data generates a few images of its own, below the output folder.

    Args:
        recipe (Recipe): The recipe, shortened already if ``args.short``.
        root (Path): Folder that holds ``tools``.
        args (argparse.Namespace): Has ``seeds``, ``short``, ``out``, ``data_root`` and ``gpus``.
    """
    if args.seeds:
        recipe = repeat_for_seeds(recipe, parse_seeds(args.seeds))
    suffix = ('_seeds' if args.seeds else '') + ('_short' if args.short else '')
    work_dir = Path(args.out or Path('work_dirs', recipe.name + suffix))
    outputs = [str(output) for stage in recipe.stages for output in getattr(stage, 'outputs', ())]
    generates = args.short and any('{data_root}' in output for output in outputs)
    data_root = args.data_root or (str(work_dir / 'sample') if generates else None)
    tools = ToolCommands(root, default_num_processes(args.gpus))
    return RecipeContext(recipe, work_dir.absolute(), tools, data_root)
