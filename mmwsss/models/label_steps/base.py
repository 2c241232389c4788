"""Base classes of label steps and labelers."""

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from .batch import LabelBatch

__all__ = ['LabelStep', 'Labeler']


class _Described:
    """Base class of the parts of a label pipeline.

    Attributes:
        needs (tuple[str, ...]): What a batch must have before the part runs: ``'background'``, ``'inputs'``,
            ``'affinity'`` or ``'thresholds'``.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def identity(self) -> dict[str, Any]:
        """Return all settings that determine the result, as JSON values, for the manifest of a label folder.

        By default, these are the type and all public attributes that JSON can represent. A subclass with weights or
        files adds their hash.
        """
        public = {name: value for name, value in vars(self).items() if not name.startswith('_') and name != 'training'}
        return {'type': type(self).__name__, **{name: value for name, value in public.items() if _is_plain(value)}}


class LabelStep(_Described, ABC):
    """Base class of the steps from class activation maps (CAMs) to pseudo labels.

    A subclass implements :meth:`transform`, is registered in ``MODELS``, and is then available in ``label_cfg.steps``,
    in the training of ToCo, and at test time.

    Attributes:
        device (str): ``'model'``: the step runs where the network runs; ``'worker'``: offline, it runs in a worker
            process on the CPU, beside the network.
        gives (tuple[str, ...]): What a batch has after the step; see ``needs``.
    """

    device: ClassVar[Literal['model', 'worker']] = 'worker'
    gives: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def transform(self, batch: LabelBatch) -> LabelBatch:
        """Return the batch after this step; the given batch is not changed."""

    def bind(self, model: nn.Module) -> None:
        """Prepare the step for the model of the run; called once, before the first batch."""

    def __call__(self, batch: LabelBatch) -> LabelBatch:
        """Run :meth:`transform`."""
        return self.transform(batch)


class Labeler(_Described, ABC):
    """Base class of the last part of a label pipeline, which turns scores into labels."""

    needs = ('background', )

    @abstractmethod
    def __call__(self, batch: LabelBatch) -> Tensor:
        """Return the labels (B, H, W) long: 0, class + 1, or 255."""


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
