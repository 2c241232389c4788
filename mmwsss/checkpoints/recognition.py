"""Recognize by its weights what a checkpoint is of: the version of a method, and the METHOD that converts it."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Optional

from torch import Tensor

from .key_mapping import join_weights, map_keys
from .loader import CheckpointError
from .official_layouts import OFFICIAL_LAYOUTS

__all__ = ['ModelVersion', 'model_version', 'official_methods']


class ModelVersion(NamedTuple):
    """A version of a method whose weights differ from those of the other versions.

    Attributes:
        name (str): What messages call it.
        mark (str): Regular expression of the whole name of a weight that no version further down the list has.
        configs (str): Where its configs are.
    """

    name: str
    mark: str
    configs: str


MODEL_VERSIONS = (
    ModelVersion('WeakTr, version 2 or 3', r'cam_head\.attention_fusion\.feat_ffn\.\d+\.weight',
                 'configs/weaktr/weaktr-v3_deit-s_{voc,coco}.py'),
    ModelVersion('WeakTr, version 1', r'cam_head\.attention_fusion\.head_ffn\.\d+\.weight',
                 'configs/weaktr/weaktr_deit-s_{voc,coco}.py'),
)
"""tuple[ModelVersion, ...]: In the order in which they are tried."""


def model_version(names: Iterable[str]) -> Optional[ModelVersion]:
    """Recognize the version of a method by the names of weights.

    Args:
        names (Iterable[str]): Names of weights of a model of this package.

    Returns:
        ModelVersion or None: The version; None if the method has only one, or if it is not known.
    """
    names = list(names)
    return next((version for version in MODEL_VERSIONS if any(re.fullmatch(version.mark, name) for name in names)),
                None)


def official_methods(weights: Mapping[str, Tensor]) -> list[str]:
    """Find the METHODs of ``official2mmwsss.py`` that convert a published checkpoint.

    Args:
        weights (Mapping[str, Tensor]): Weights by the names of the authors.

    Returns:
        list[str]: Keys of :data:`OFFICIAL_LAYOUTS` whose rules take all weights and miss none. If some of these keep
        more weights than others, which drop a head, only those.
    """
    kept = {}
    for method, layout in OFFICIAL_LAYOUTS.items():
        try:
            kept[method] = len(map_keys(join_weights(weights, layout), layout).state_dict)
        except CheckpointError:
            continue
    return [method for method, count in kept.items() if count == max(kept.values())]
