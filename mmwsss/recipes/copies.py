"""Copies of stages that are repeated with other settings, and their names."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from .schema import INPUTS, Stage

__all__ = ['copy_stage', 'stages_to_repeat']


def stages_to_repeat(stages: Sequence[Stage], roots: Collection[str]) -> list[str]:
    """Return the names of some stages and of all that use their outputs, directly or not, in their order.

    Args:
        stages (Sequence[Stage]): All stages; each comes after those whose outputs it uses.
        roots (Collection[str]): Names of the stages whose settings change.
    """
    names: list[str] = []
    for stage in stages:
        if stage.name in roots or set(stage.inputs) & set(names):
            names.append(stage.name)
    return names


def copy_stage(stage: Stage, rename: Callable[[str], str], repeated: Collection[str], title: str) -> Stage:
    """Return the copy of a stage, which uses the copies of the stages that are repeated with it.

    Args:
        stage (Stage): The stage.
        rename (Callable): Turns the name of a stage into that of its copy.
        repeated (Collection[str]): Names of the stages that are repeated.
        title (str): Added to the title of the stage.

    Returns:
        Stage: Of the same kind.
    """
    changes: dict[str, Any] = {
        key: rename(getattr(stage, key)) for key in INPUTS if getattr(stage, key, None) in repeated}
    return replace(stage, name=rename(stage.name), title=f'{stage.title or stage.name}, {title}', **changes)
