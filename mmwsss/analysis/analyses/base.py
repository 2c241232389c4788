"""The contract of analyses: what a figure needs of a model, how images are reduced to numbers, how it is drawn."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import Registry
from torch import Tensor, nn

from mmwsss.datasets.splits import split_images
from mmwsss.models import Features, Request, extract_features
from mmwsss.utils import closest
from mmwsss.utils.errors import UserError

from .tables import AnalysisTable

__all__ = ['ANALYSES', 'Analysis', 'ModelAnalysis', 'RunAnalysis', 'Sample', 'build_analysis', 'known_analyses']

ANALYSES = Registry('analysis', scope='mmwsss', locations=['mmwsss.analysis'])
"""Registry: all analyses by the name by which ``tools/analyze.py`` calls them."""


class Sample(NamedTuple):
    """One image as an analysis gets it.

    Attributes:
        inputs: (1, 3, H, W) float32, normalized, at the size of the network's input.
        photo: (H, W, 3) uint8 RGB, what ``inputs`` show.
        image_labels: (C,) float32, 1 for the classes that the image shows; None where the data have no labels.
        mask: (H0, W0) integers at the image's own size: 0 background, 1 + class, 255 ignored; None without masks.
        image_id: Name of the image.
        metainfo: What the pipeline says about the image, such as ``ori_shape``.
        classes: Names of the C foreground classes.
    """

    inputs: Tensor
    photo: np.ndarray
    image_labels: Optional[Tensor]
    mask: Optional[Tensor]
    image_id: str
    metainfo: dict
    classes: tuple[str, ...]

    @property
    def present(self) -> list[int]:
        """Indices of the classes that the image shows; empty without labels."""
        return [] if self.image_labels is None else self.image_labels.nonzero().flatten().tolist()


class Analysis(ABC):
    """A figure or a table: numbers that are computed for each labeled run, and a picture of all runs.

    A subclass is registered in ``ANALYSES`` under the name by which ``tools/analyze.py`` calls it. The arguments of its
    constructor are the options of ``--options``. The first line of its docstring is shown by ``--list``.

    Attributes:
        source: The figures and tables of papers that it reproduces.
        threshold_rule: How thresholds are chosen, for the JSON file; empty where there is none.
    """

    source: str = ''
    threshold_rule: str = ''

    @abstractmethod
    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw what a JSON file says, without a model or data.

        Args:
            record: The content of the JSON file; ``record['runs']`` has ``label`` and ``data`` of each run, where
                ``data`` is what was computed for it.
            path: The figure: ``.png``, ``.pdf`` or ``.svg``.
        """

    def table(self, record: Mapping[str, Any]) -> Optional[AnalysisTable]:
        """Return the table of a JSON file, which the tool prints and writes as Markdown; None unless overridden."""
        return None

    def summary(self, data: Mapping[str, Any]) -> dict[str, float]:
        """Return the few numbers of a run that the tool prints, by name; none unless overridden."""
        return {}

    def note(self, data: Mapping[str, Any]) -> str:
        """Return a line that the tool prints for a run, such as a setting to copy; none unless overridden."""
        return ''


class ModelAnalysis(Analysis):
    """An analysis that runs models over images, one image at a time, and keeps only what it has reduced.

    For each run an instance of its own is built. Models are in eval mode and float32, without gradient.

    Attributes:
        needs_masks: Whether the images must have masks.
        needs_labels: Whether the images must have image labels.
        max_images: How many images it takes at most; None for all. An analysis that shows images sets it.
        measures_memory: Whether it measures memory by itself, which cannot be measured twice at a time. Otherwise the
            peak of the first image is measured.
    """

    needs_masks: bool = False
    needs_labels: bool = False
    max_images: Optional[int] = None
    measures_memory: bool = False

    def dataset(self, cfg: Config, split: str) -> BaseDataset:
        """Return the images of a config; by default those of the split, with the test pipeline."""
        return split_images(cfg, split)

    def request(self, model: nn.Module) -> Request:
        """Return what one pass through ``model.backbone`` must give."""
        return Request()

    def process(self, model: nn.Module, sample: Sample) -> None:
        """Run an image and reduce what comes out; an analysis that needs more than one pass overrides this."""
        self.update(model, sample, extract_features(model.backbone, sample.inputs, self.request(model)))

    def update(self, model: nn.Module, sample: Sample, features: Features) -> None:
        """Add one image, reduced to a few numbers, to the state."""
        raise TypeError(f'{type(self).__name__} must override update or process')

    def state(self) -> Any:
        """Return what was reduced so far, as a value that can be pickled, for the other processes of the run.

        Raises:
            UserError: The analysis runs in one process, unless this is overridden.
        """
        raise UserError(f'{type(self).__name__} runs in one process: start it without a launcher')

    def merge(self, states: Sequence[Any]) -> None:
        """Take the sum of the states of all processes, its own included, in place of its own state."""
        raise TypeError(f'{type(self).__name__} overrides state and must override merge')

    @abstractmethod
    def compute(self) -> dict[str, Any]:
        """Return every number that is drawn, as values that JSON can hold, after the last image."""


class RunAnalysis(Analysis):
    """An analysis of what trainings have left in their work directories.

    Attributes:
        reads_files: Whether a results file may be named in place of a directory.
    """

    reads_files: bool = False

    @abstractmethod
    def read(self, work_dir: Path) -> dict[str, Any]:
        """Read a work directory.

        Returns:
            Every number that is drawn, as values that JSON can hold.

        Raises:
            FileNotFoundError: The directory does not hold what is needed; the message says what writes it.
        """


def known_analyses() -> dict[str, type[Analysis]]:
    """Return all registered analyses by name, in order of their names."""
    ANALYSES.import_from_location()
    return dict(sorted(ANALYSES.module_dict.items()))


def build_analysis(name: str, options: Optional[Mapping[str, Any]] = None) -> tuple[Analysis, dict[str, Any]]:
    """Build an analysis.

    Args:
        name: Its name, such as ``'token-similarity'``.
        options: Arguments of its constructor.

    Returns:
        The analysis, and all its options with defaults filled in.

    Raises:
        UserError: There is no such analysis or option.
    """
    known, given = known_analyses(), dict(options or {})
    if name not in known:
        raise UserError(f'there is no analysis {name!r}{closest(name, known)}; there are {", ".join(known)}')
    parameters = inspect.signature(known[name]).parameters
    unknown = [key for key in given if key not in parameters]
    if unknown:
        takes = ', '.join(parameters) or 'no options'
        raise UserError(f'{name} has no option {unknown[0]!r}{closest(unknown[0], parameters)}; it takes {takes}')
    return known[name](**given), {**{key: value.default for key, value in parameters.items()}, **given}
