"""MCTformer+'s contrast of class tokens as a part that any method with a token for each class takes along."""

from typing import Any, Optional

from torch import Tensor, nn

from mmwsss.registry import MODELS

from ..backbones.features import Features, Request
from ..backbones.observations import ClassTokens
from .base import BaseAuxiliary, TrainingBatch

__all__ = ['ContrastiveClassTokens']


@MODELS.register_module()
class ContrastiveClassTokens(BaseAuxiliary):
    """Contrast of the class tokens after each of the last layers (CCT module of MCTformer+, arXiv 2308.03005).

    Args:
        loss: Config of the loss; :class:`ContrastiveClassTokenLoss` unless given.
        weight: Factor of the loss.
        num_layers: Number of last layers whose class tokens are used; None for all.

    Raises:
        ValueError: ``num_layers`` is below 1; in training, if the backbone has not one class token for each class.
    """

    def __init__(self, loss: Optional[dict] = None, weight: float = 1., num_layers: Optional[int] = None) -> None:
        super().__init__()
        if num_layers is not None and num_layers < 1:
            raise ValueError(f'num_layers must be at least 1 or None, got {num_layers}')
        self.loss = MODELS.build(loss or dict(type='ContrastiveClassTokenLoss'))
        self.weight = weight
        layers = None if num_layers is None else tuple(range(-num_layers, 0))
        self._tokens = ClassTokens(layers=layers, grad=True)

    def request(self, model: nn.Module) -> Request:
        """Request the class tokens of the layers."""
        return Request(observations=(self._tokens, ), maps=False)

    def losses(self, model: nn.Module, features: Features, batch: TrainingBatch, targets: Any) -> dict[str, Tensor]:
        """Return ``loss_class_tokens``."""
        tokens, labels = features[self._tokens], batch.image_labels
        if tokens.shape[2] != labels.shape[1]:
            raise ValueError(f'ContrastiveClassTokens needs a class token for each of {labels.shape[1]} classes, but '
                             f'the backbone has {tokens.shape[2]}: set its num_class_tokens')
        return {'loss_class_tokens': self.weight * self.loss(tokens, labels)}
