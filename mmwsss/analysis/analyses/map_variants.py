"""Further maps of a CAM head from the same pass: its unrefined map, refined in other ways."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Optional

import torch
from torch import Tensor, nn

from mmwsss.models import BaseCAMHead, Features, Observation, Request, TokenLayout
from mmwsss.models.backbones.attention import QueryKey, head_chunk, iterate_head_maps
from mmwsss.models.backbones.features import Reads
from mmwsss.models.backbones.observations import ClassAttentionSum, PatchAttentionSum, QueryKeys
from mmwsss.models.utils import refine_with_affinity
from mmwsss.utils import closest
from mmwsss.utils.errors import UserError

__all__ = ['ClassAttentionOfLastLayers', 'Couplings', 'MapVariants', 'RefinedByLayers', 'VariantHead', 'couple',
           'number_of_layers', 'refine_by_layer', 'unrefined_map', 'with_head']

UNREFINED = ('raw_cams', 'fused_cams', 'conv_cams', 'attention', 'cams')
"""tuple: Names of maps before refinement, in the order in which they are looked for."""


class MapVariants(ABC):
    """Maps that are made of a base map and of what is observed in the same pass.

    Attributes:
        names: Names of the maps.
    """

    names: tuple[str, ...]

    @abstractmethod
    def observations(self, classes: Optional[tuple[int, ...]]) -> tuple[Observation, ...]:
        """Return what must be observed for the maps of these classes, or of all."""

    @abstractmethod
    def maps(self, base: Tensor, features: Features, classes: Optional[tuple[int, ...]]) -> dict[str, Tensor]:
        """Make all maps.

        Args:
            base: (B, P, h, w) map before refinement.
            features: Of a pass in which :meth:`observations` were observed.
            classes: Indices of the P classes; None for all.

        Returns:
            Maps (B, P, h, w) by name.
        """


class VariantHead(nn.Module):
    """A head in the place of another: it gives variants of a map of that head, from one pass.

    Args:
        head: The CAM head of the model.
        base: The map of it from which the variants are made.
        variants: The variants.
    """

    def __init__(self, head: BaseCAMHead, base: str, variants: MapVariants) -> None:
        super().__init__()
        self.head, self.base, self.variants = head, base, variants

    @property
    def map_names(self) -> tuple[str, ...]:
        """Names of the maps."""
        return self.variants.names

    def request(self, names: Sequence[str] = (), classes: Optional[Tensor] = None) -> Request:
        """Request what the base map and the variants need."""
        observations = self.variants.observations(_indices(classes))
        return self.head.request((self.base, ), classes) + Request(observations=observations)

    def forward(self, features: Features) -> dict[str, Tensor]:
        """Return the scores of the head."""
        return self.head(features)

    def maps(self, features: Features, names: Sequence[str], classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Make the maps listed in ``names``, each (B, C or P, h, w)."""
        base = self.head.maps(features, (self.base, ), classes)[self.base]
        found = self.variants.maps(base, features, _indices(classes))
        return {name: found[name] for name in names}


class RefinedByLayers(MapVariants):
    """The base map refined by the attention among patches of single layers, and by means over sets of layers.

    Attention is averaged over heads. It is computed again from queries and keys, one layer after the other, so that no
    map of attention is kept. Refinement is linear: what the mean of affinities gives is the mean of what each gives.

    Args:
        sets: Layers, counted from 0, by name of the map; an empty set is the base map itself.
    """

    def __init__(self, sets: Mapping[str, Sequence[int]]) -> None:
        self.sets = {name: tuple(layers) for name, layers in sets.items()}
        self.names = tuple(self.sets)

    def observations(self, classes: Optional[tuple[int, ...]]) -> tuple[Observation, ...]:
        """Return the observation of queries and keys."""
        return (QueryKeys(), )

    def maps(self, base: Tensor, features: Features, classes: Optional[tuple[int, ...]]) -> dict[str, Tensor]:
        """Refine the base map by each layer, and average over the sets."""
        refined = refine_by_layer(base, features[QueryKeys()], features.layout)
        return {name: torch.stack([refined[layer] for layer in layers]).mean(dim=0) if layers else base
                for name, layers in self.sets.items()}


def refine_by_layer(maps: Tensor, layers: Sequence[QueryKey], layout: TokenLayout) -> list[Tensor]:
    """Refine maps by the attention among patches of each layer alone (AReAM, Eq. 7).

    Args:
        maps: (B, C, h, w), one value for each patch.
        layers: Queries and keys of each layer, scaled.
        layout: Arrangement of the tokens.

    Returns:
        For each layer (B, C, h, w): every patch sums up the map with its attention, averaged over heads. Attention to
        class tokens is left out and not made up for.
    """
    start, refined = layout.num_class_tokens, []
    if maps.shape[-2:] != tuple(layout.grid):
        raise UserError(f'the map has {maps.shape[-2]} x {maps.shape[-1]} cells and the tokens '
                        f'{layout.grid[0]} x {layout.grid[1]}: it cannot be refined by their attention')
    for query, key in layers:
        total = torch.zeros_like(maps)
        for heads in iterate_head_maps(query[:, :, start:], key, head_chunk(query, query.shape[1])):
            affinity = heads.maps[..., start:]
            total += refine_with_affinity(maps, affinity.mean(dim=1)) * (affinity.shape[1] / query.shape[1])
            del heads, affinity
        refined.append(total)
    return refined


@dataclass(frozen=True)
class _ClassAttention(Observation):
    """Attention of class tokens to patches of each layer, averaged over heads: a list of (B, M, N)."""

    reads: ClassVar[Reads] = 'mean'

    def init(self, layout: TokenLayout) -> tuple:
        """Return the number of class tokens, and no layer yet."""
        return layout.num_class_tokens, []

    def update(self, state: tuple, layer: int, value: Tensor) -> tuple:
        """Keep the rows of the class tokens."""
        state[1].append(value[:, :state[0], state[0]:].clone())
        return state

    def finish(self, state: tuple) -> list[Tensor]:
        """Return the layers."""
        return state[1]


class ClassAttentionOfLastLayers(MapVariants):
    """Attention of each class token to the patches, averaged over the last K layers (MCTformer, Eq. 2), for every K.

    Args:
        num_layers: L; the maps are called ``last_1`` to ``last_L``.
    """

    def __init__(self, num_layers: int) -> None:
        self.names = tuple(f'last_{count}' for count in range(1, num_layers + 1))

    def observations(self, classes: Optional[tuple[int, ...]]) -> tuple[Observation, ...]:
        """Return the observation of class tokens."""
        return (_ClassAttention(), )

    def maps(self, base: Tensor, features: Features, classes: Optional[tuple[int, ...]]) -> dict[str, Tensor]:
        """Average the last layers; the base map does not matter."""
        layers = [layer.unflatten(2, features.grid) for layer in features[_ClassAttention()]]
        chosen = [layer if classes is None else layer[:, list(classes)] for layer in layers]
        return {name: torch.stack(chosen[-count:]).mean(dim=0) for count, name in enumerate(self.names, start=1)}


class Couplings(MapVariants):
    """Ways to couple a map with attention averaged over all layers (TransCAM, Eq. 5, 10 and 11).

    With A the attention among patches, a class token's attention a, and the map m: ``plain`` m, ``ClsAttn`` a * m,
    ``AttnAgg`` A^T m, ``TransCAM`` A m.
    """

    names = ('plain', 'ClsAttn', 'AttnAgg', 'TransCAM')

    def observations(self, classes: Optional[tuple[int, ...]]) -> tuple[Observation, ...]:
        """Return the sums of attention over layers."""
        return PatchAttentionSum(), ClassAttentionSum()

    def maps(self, base: Tensor, features: Features, classes: Optional[tuple[int, ...]]) -> dict[str, Tensor]:
        """Couple the base map in each way."""
        layers = features.layout.num_layers
        affinity, rows = features[PatchAttentionSum()] / layers, features[ClassAttentionSum()] / layers
        rows = rows if rows.shape[1] == 1 or classes is None else rows[:, list(classes)]
        return couple(base, affinity, rows.unflatten(2, features.grid))


def couple(maps: Tensor, affinity: Tensor, class_attention: Tensor) -> dict[str, Tensor]:
    """Couple maps with attention in each way of :class:`Couplings`.

    Args:
        maps: (B, C, h, w).
        affinity: (B, N, N), queries in rows.
        class_attention: (B, 1 or C, h, w).

    Returns:
        Maps (B, C, h, w) by the name of the way.
    """
    return {'plain': maps, 'ClsAttn': maps * class_attention, 'AttnAgg': refine_with_affinity(maps, affinity.mT),
            'TransCAM': refine_with_affinity(maps, affinity)}


def unrefined_map(head: BaseCAMHead, name: Optional[str] = None) -> str:
    """Return the name of a head's map before refinement.

    Args:
        head: The head.
        name: The map that the user chose.

    Raises:
        UserError: The head has no such map.
    """
    names = head.map_names
    if name is not None and name not in names:
        raise UserError(f'the model has no map {name!r}{closest(name, names)}; its maps are {", ".join(names)}')
    return name or next((found for found in UNREFINED if found in names), names[0])


def number_of_layers(model: nn.Module) -> int:
    """Return the number of encoder layers whose attention can be observed.

    Raises:
        UserError: The backbone is no transformer.
    """
    count = getattr(model.backbone, 'num_layers', None)
    if count is None:
        raise UserError(f'{type(model.backbone).__name__} has no attention: the analysis needs a ViT or a Conformer')
    return int(count)


@contextmanager
def with_head(model: nn.Module, head: nn.Module, names: Sequence[str]) -> Iterator[nn.Module]:
    """Let a model fuse the views of the maps listed in ``names`` of another head, until the block ends."""
    before = model.cam_head, model.map_names
    model.cam_head, model.map_names = head, tuple(names)
    try:
        yield model
    finally:
        model.cam_head, model.map_names = before


def _indices(classes: Optional[Tensor]) -> Optional[tuple[int, ...]]:
    return None if classes is None else tuple(classes.tolist())
