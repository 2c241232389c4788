"""What a kind of stage has to say, and the table of kinds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

if TYPE_CHECKING:
    from .place import Place
    from .recipe import Stage

__all__ = ['Commands', 'STAGE_KINDS', 'StageKind', 'stage_kind']

Commands = list[list[str]]


class StageKind(ABC):
    """A kind of stage: a subclass words its commands, names its outputs and reads its numbers."""

    required: tuple[str, ...] = ()
    """Keys that a stage of this kind needs."""
    optional: tuple[str, ...] = ()
    """Further keys that it may have."""
    gives: Optional[str] = None
    """What later stages may need of it: ``checkpoint`` or ``labels``."""

    @abstractmethod
    def commands(self, stage: Stage, place: Place) -> Commands:
        """Word the commands that are left to do, each as a list of words."""

    @abstractmethod
    def outputs(self, stage: Stage, place: Place) -> list[Path]:
        """Name the files and folders whose content is the outcome."""

    def results(self, stage: Stage, place: Place) -> dict[str, float]:
        """Read the numbers that the commands left, by metric."""
        return {}

    def split(self, stage: Stage, place: Place) -> str:
        """Name the images that the numbers are of."""
        return ''

    def pictures(self, stage: Stage, place: Place) -> Optional[Path]:
        """Give the latest sheet of pictures; None without any."""
        sheets = sorted((place.folder(stage) / 'vis_data').glob('*.png'), key=lambda path: path.stat().st_mtime)
        return sheets[-1] if sheets else None


STAGE_KINDS: dict[str, StageKind] = {}
"""dict: the kinds of stages by the name that recipes use."""


def stage_kind(name: str) -> Callable[[type], type]:
    """Make a subclass of :class:`StageKind` known to recipes under a name."""
    def add(kind: type) -> type:
        STAGE_KINDS[name] = kind()
        return kind

    return add
