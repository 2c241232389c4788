"""The contract of auxiliaries, and a model's set of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Union

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmwsss.registry import MODELS

from ..backbones.features import Features, Request

__all__ = ['Auxiliaries', 'BaseAuxiliary', 'TrainingBatch']


class TrainingBatch(NamedTuple):
    """What a training iteration knows of its images.

    Attributes:
        images: (B, 3, H, W) normalized.
        image_labels: (B, C) multi-hot.
        boxes: (B, 4) regions without padding; see :func:`~mmwsss.models.utils.valid_boxes`.
    """

    images: Tensor
    image_labels: Tensor
    boxes: Tensor


class BaseAuxiliary(BaseModule, ABC):
    """A part of training that works beside any CAM head, on the same pass through the backbone.

    In every iteration in which it is :attr:`active`, the model calls :meth:`targets` before the training pass, adds
    :meth:`request` to what the head requests of the pass, and :meth:`losses` to its own. ``model`` is the model it
    is part of; its ``backbone`` and ``cam_head`` may be run for targets.
    """

    @property
    def active(self) -> bool:
        """Whether it takes part in this iteration."""
        return True

    def targets(self, model: nn.Module, batch: TrainingBatch) -> Any:
        """Make the targets of a batch, in passes of its own without gradient where it needs them."""
        return None

    @abstractmethod
    def request(self, model: nn.Module) -> Request:
        """Return what :meth:`losses` needs of the training pass."""

    @abstractmethod
    def losses(self, model: nn.Module, features: Features, batch: TrainingBatch, targets: Any) -> dict[str, Tensor]:
        """Compute losses, named ``loss_*``, and values for the log."""


class Auxiliaries(nn.ModuleDict):
    """The auxiliaries of a model; none unless configured.

    Args:
        configs: A list of configs, or a dict of them by name, whose entries derived configs can change one by one.
    """

    def __init__(self, configs: Union[Sequence[dict], Mapping[str, dict], None] = None) -> None:
        named = configs if isinstance(configs, Mapping) else {str(i): item for i, item in enumerate(configs or ())}
        if 'type' in named:
            raise TypeError('auxiliary must be a list of configs, or a dict of them by name, got the config of '
                            f'{named["type"]}: put it into a list')
        super().__init__({name: MODELS.build(item) for name, item in named.items()})

    def begin(self, model: nn.Module, batch: TrainingBatch) -> 'AuxiliaryPass':
        """Make the targets of the auxiliaries that are active."""
        active = {name: part for name, part in self.items() if part.active}
        return AuxiliaryPass(model, batch, active, {name: part.targets(model, batch) for name, part in active.items()})


class AuxiliaryPass(NamedTuple):
    """The active auxiliaries of an iteration and their targets."""

    model: nn.Module
    batch: TrainingBatch
    active: dict[str, BaseAuxiliary]
    targets: dict[str, Any]

    def request(self, head: Request) -> Request:
        """Add up what the head and the auxiliaries need of the training pass."""
        return sum((part.request(self.model) for part in self.active.values()), head)

    def losses(self, features: Features) -> dict[str, Tensor]:
        """Compute the terms of all; a name that an earlier one has taken gets the auxiliary's name at its end."""
        terms: dict[str, Tensor] = {}
        for name, part in self.active.items():
            for term, value in part.losses(self.model, features, self.batch, self.targets[name]).items():
                terms[f'{term}_{name}' if term in terms else term] = value
        return terms
