"""The contract of CAM heads."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Optional

from mmengine.model import BaseModule
from torch import Tensor

from ..backbones.features import Features, Request

__all__ = ['BaseCAMHead', 'class_indices', 'select_classes']


class BaseCAMHead(BaseModule, ABC):
    """From features to class scores and raw class activation maps.

    A head neither owns nor runs a backbone. It says in :meth:`request` what it needs of a pass, and then computes
    scores and maps as functions of the features. :class:`~mmwsss.models.CAMClassifier` and
    :class:`~mmwsss.models.ToCo` do the rest: losses, views, normalization, labels.

    Args:
        num_classes: C, number of foreground classes. Background is no channel of scores and maps.
        init_cfg: As in mmengine's ``BaseModule``.

    Attributes:
        map_names: All maps that can be asked for; ``'cams'`` is the method's result.
        trained_scores: Scores that the classification loss trains; None for all.
    """

    map_names: tuple[str, ...] = ('cams', )
    trained_scores: Optional[tuple[str, ...]] = None

    def __init__(self, num_classes: int, init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        if num_classes < 1:
            raise ValueError(f'num_classes of {type(self).__name__} must be at least 1, got {num_classes}')
        self.num_classes = num_classes

    @property
    def default_maps(self) -> tuple[str, ...]:
        """Maps that ``extract_cams`` returns; all unless a head says otherwise."""
        return tuple(self.map_names)

    def request(self, names: Sequence[str] = (), classes: Optional[Tensor] = None) -> Request:
        """Return what :meth:`forward` and :meth:`maps` need of a pass.

        Args:
            names: The maps that will be asked for. Without any, the scores that are trained are all that is needed.
            classes: (P,) indices of the classes whose maps are wanted; None for all.

        Returns:
            By default the backbone's feature maps and class tokens.

        Raises:
            ValueError: If there is no such map.
        """
        self.check_maps(names)
        return Request()

    @abstractmethod
    def forward(self, features: Features) -> dict[str, Tensor]:
        """Score the classes of images.

        Returns:
            Scores (B, C) by name. ``logits`` say which classes are present; such as ``patch_logits`` may join them.
        """

    @abstractmethod
    def maps(self, features: Features, names: Sequence[str], classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Compute the class maps listed in ``names``.

        Args:
            features: Of a pass for which ``request(names, classes)`` was part of the request.
            names: Of :attr:`map_names`.
            classes: As in :meth:`request`.

        Returns:
            Maps (B, C or P, h, w) by name, before any normalization and without regard to image labels.
        """

    def check_maps(self, names: Sequence[str]) -> None:
        """Raise a ``ValueError`` if one of ``names`` is no map of this head."""
        for name in names:
            if name not in self.map_names:
                raise ValueError(f'{type(self).__name__} has no map {name!r}; its maps are {", ".join(self.map_names)}')


def select_classes(maps: Tensor, classes: Optional[Tensor]) -> Tensor:
    """Select the classes of maps (B, C, h, w): (B, P, h, w), or all of them where ``classes`` is None."""
    return maps if classes is None else maps[:, classes]


def class_indices(classes: Optional[Tensor]) -> Optional[tuple[int, ...]]:
    """Turn indices of classes into a value that observations can hold and compare."""
    return None if classes is None else tuple(int(index) for index in classes)
