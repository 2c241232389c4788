"""Features on request: run a backbone once, and keep what heads, auxiliaries and diagnoses ask for and nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Optional, Union

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..utils import at_least_single, single_dtype
from .attention import (
    HeadMaps,
    QueryKey,
    ScoreFactors,
    attend,
    class_token_layer,
    finish_layer,
    fused_attention,
    head_by_head_layer,
    head_chunk,
    is_faster_head_by_head,
    iterate_head_maps,
    project_qkv,
    split_heads,
)

__all__ = ['Features', 'LayerRunner', 'Observation', 'ObservableBackbone', 'Request', 'TokenLayout',
           'extract_features', 'to_map']

Layers = Union[None, Literal['shallow', 'deep'], tuple[int, ...]]
Reads = Literal['heads', 'mean', 'scores', 'query_key', 'block']


@dataclass(frozen=True)
class TokenLayout:
    """How the tokens of a pass are arranged.

    Attributes:
        num_layers: L, encoder layers.
        num_heads: H, heads of each layer.
        num_class_tokens: M, tokens in front of those of the patches.
        grid: (h, w) of the patch tokens, which follow row by row.
    """

    num_layers: int
    num_heads: int
    num_class_tokens: int
    grid: tuple[int, int]

    @property
    def num_tokens(self) -> int:
        """T, all tokens of an image."""
        return self.num_class_tokens + self.grid[0] * self.grid[1]

    def layer_indices(self, layers: Layers) -> tuple[int, ...]:
        """Return layers as indices from 0.

        Args:
            layers: Indices, where negative ones count from the end; ``'shallow'`` for the first half, ``'deep'`` for
                the second half; None for all.

        Raises:
            IndexError: If there is no such layer.
        """
        every, half = range(self.num_layers), self.num_layers // 2
        if layers is None or isinstance(layers, str):
            return tuple({None: every, 'shallow': every[:half], 'deep': every[half:]}[layers])
        wrong = [index for index in layers if not -self.num_layers <= index < self.num_layers]
        if wrong:
            raise IndexError(f'layer {wrong[0]} does not exist: the backbone has {self.num_layers} layers')
        return tuple(every[index] for index in layers)


@dataclass(frozen=True)
class Observation(ABC):
    """What to keep of a pass through the encoder layers, reduced layer by layer.

    A subclass is a frozen dataclass: observations that are equal share their work and their result. While the backbone
    runs, ``state = update(state, layer, value)`` is called for every observed layer in order; with ``reads='heads'``
    once for every :class:`HeadMaps`, which hold all heads or one of them. ``value`` is, by ``reads``:

    ============= ===================================================================================
    ``heads``     :class:`HeadMaps`: attention (B, n, T, T) of all heads or of one
    ``mean``      attention (B, T, T), averaged over heads
    ``scores``    :class:`ScoreFactors` of the mean scores before softmax
    ``query_key`` :class:`QueryKey`, from which attention can be computed later
    ``block``     :class:`BlockOutput`: what the layer and its attention sublayer give
    ============= ===================================================================================

    All tokens are in it, the class tokens first. Values may share memory with the network and with what other
    observations get: do not change them in place, and clone what is kept of a larger one.

    Attributes:
        layers: Which layers; see :meth:`TokenLayout.layer_indices`.
        grad: Whether values carry a gradient. Without, attention costs no memory in the backward pass.
    """

    reads: ClassVar[Reads]
    layers: Layers = None
    grad: bool = False

    def init(self, layout: TokenLayout) -> Any:
        """Return the state before the first layer."""
        return None

    @abstractmethod
    def update(self, state: Any, layer: int, value: Any) -> Any:
        """Return the state after a layer, whose index counts from 0."""

    def finish(self, state: Any) -> Any:
        """Return the result, made of the state after the last layer."""
        return state


@dataclass(frozen=True)
class Request:
    """What is needed of one pass. Requests add up, so that a head and its auxiliaries share the pass.

    Attributes:
        hidden: Layers after which the raw patch tokens are kept as maps; negative indices count from the end.
        observations: See :class:`Observation`.
        maps: Whether the last feature maps are needed. If nobody needs them, the last encoder layer computes the class
            tokens alone.
    """

    hidden: tuple[int, ...] = ()
    observations: tuple[Observation, ...] = ()
    maps: bool = True

    def __add__(self, other: 'Request') -> 'Request':
        return Request(self.hidden + other.hidden, self.observations + other.observations, self.maps or other.maps)


class Features:
    """What one pass through a backbone gives.

    Attributes:
        maps: Feature maps (B, D, h, w), as mmseg's and mmpretrain's backbones give them, the last one last; empty if
            they were not requested.
        class_tokens: (B, M, D), or None if the backbone has none.
        grid: (h, w) of the patch tokens, or of the last map.
        hidden: Requested layer -> (B, D, h, w).
        layout: The tokens' arrangement, or None of a backbone that cannot be observed.
    """

    def __init__(self, maps: Sequence[Tensor], grid: tuple[int, int], class_tokens: Optional[Tensor] = None,
                 hidden: Optional[dict[int, Tensor]] = None, observed: Optional[dict[Observation, Any]] = None,
                 layout: Optional[TokenLayout] = None) -> None:
        self.maps = tuple(maps)
        self.grid: tuple[int, int] = (grid[0], grid[1])
        self.class_tokens = class_tokens
        self.hidden = hidden or {}
        self.layout = layout
        self._observed = observed or {}
        self._computed: dict[Callable, Any] = {}

    def __getitem__(self, observation: Observation) -> Any:
        if observation not in self._observed:
            raise KeyError(f'{observation} was not requested for this pass')
        return self._observed[observation]

    def __contains__(self, observation: Observation) -> bool:
        return observation in self._observed

    def map(self, function: Callable[[Any], Any]) -> 'Features':
        """Return features in which every map, token and observed result is what ``function`` makes of it."""
        tokens = None if self.class_tokens is None else function(self.class_tokens)
        return Features(tuple(map(function, self.maps)), self.grid, tokens,
                        {layer: function(value) for layer, value in self.hidden.items()},
                        {item: function(value) for item, value in self._observed.items()}, self.layout)

    def once(self, function: Callable[['Features'], Any]) -> Any:
        """Compute ``function(features)``, such as a head's classifier on the last map, once for all who need it."""
        if function not in self._computed:
            self._computed[function] = function(self)
        return self._computed[function]


class ObservableBackbone(ABC):
    """A backbone whose encoder layers can be observed: it runs them through a :class:`LayerRunner`."""

    @abstractmethod
    def encode(self, images: Tensor, request: Request) -> Features:
        """Run images (B, 3, H, W) and keep what is requested.

        Raises:
            IndexError: If a requested layer does not exist.
        """


def extract_features(backbone: nn.Module, images: Tensor, request: Optional[Request] = None) -> Features:
    """Run a backbone once and keep what is requested.

    Args:
        backbone: An :class:`ObservableBackbone`, or any backbone of mmpretrain or mmseg that gives feature maps, of
            which neither hidden layers nor observations can be requested.
        images: (B, 3, H, W) normalized images. If the backbone cuts images into patches, a side that is shorter than a
            patch is padded with zeros to one patch, so that its grid has one cell.
        request: What is needed; by default the feature maps and class tokens.

    Returns:
        The features.

    Raises:
        IndexError: If a requested layer does not exist.
        TypeError: If the backbone cannot give what is requested.
    """
    request = request or Request()
    images = _padded_to_patch(backbone, images)
    if isinstance(backbone, ObservableBackbone):
        return backbone.encode(images, request)
    name = type(backbone).__name__
    if request.hidden or request.observations:
        wanted = [type(item).__name__ for item in request.observations] or [f'hidden layers {list(request.hidden)}']
        raise TypeError(f'{name} cannot give {", ".join(wanted)}: it takes an observable backbone such as AttentionViT '
                        'or AttentionConformer')
    maps = backbone(images)
    maps = (maps, ) if isinstance(maps, Tensor) else tuple(maps)
    if not maps or any(not isinstance(item, Tensor) or item.ndim != 4 for item in maps):
        raise TypeError(f"{name} gives no feature maps (B, D, h, w): set out_type='featmap' where it is a transformer "
                        'of mmpretrain')
    return Features(maps, tuple(maps[-1].shape[-2:]))


def _padded_to_patch(backbone: nn.Module, images: Tensor) -> Tensor:
    """Pad images (B, 3, H, W) with zeros at the right and bottom to at least one patch."""
    patch = getattr(backbone, 'patch_size', None)
    if patch is None:
        return images
    rows, cols = patch if isinstance(patch, Sequence) else (patch, patch)
    missing = max(rows - images.shape[-2], 0), max(cols - images.shape[-1], 0)
    return F.pad(images, (0, missing[1], 0, missing[0])) if any(missing) else images


def to_map(tokens: Tensor, grid: Sequence[int]) -> Tensor:
    """Turn row-major patch tokens (B, N, D) into a feature map (B, D, h, w)."""
    return tokens.transpose(1, 2).unflatten(2, tuple(grid))


class LayerRunner:
    """Runs encoder layers for a request, each in the cheapest way that shows what is observed of it.

    * Nobody looks: fused attention; in the last layer, if only class tokens are needed, for these alone. In a lower
      precision on a CPU without gradient: explicit maps, one head at a time.
    * Attention is observed, and no gradient is recorded: explicit maps, on a CPU one head at a time.
    * Attention is observed without gradient while one is recorded: fused attention, and the maps computed beside it,
      so that the layer keeps none for the backward pass.
    * Attention is observed with gradient: explicit maps of all heads.

    Args:
        request: What is needed.
        layout: Of the tokens.
    """

    def __init__(self, request: Request, layout: TokenLayout) -> None:
        self.request, self.layout = request, layout
        self._states = {item: item.init(layout) for item in request.observations}
        self._watching: dict[int, list[Observation]] = {index: [] for index in range(layout.num_layers)}
        for item in self._states:
            for index in layout.layer_indices(item.layers):
                self._watching[index].append(item)
        self._hidden_layers = {index: layout.layer_indices((index, ))[0] for index in request.hidden}
        self._hidden: dict[int, Tensor] = {}

    def run(self, index: int, layer: nn.Module, x: Tensor) -> Tensor:
        """Run the encoder layer ``index``, mmpretrain's ``TransformerEncoderLayer``, on tokens (B, T, D).

        Returns:
            (B, T, D); after the last layer (B, M, D) if no maps are requested.
        """
        num_class = self.layout.num_class_tokens
        only_class = index == self.layout.num_layers - 1 and not self.request.maps
        only_class = only_class and index not in self._hidden_layers.values()
        if self._watching[index]:
            x = self._observe(index, layer, x, num_class if only_class else None)
        elif only_class:
            x = class_token_layer(layer, x, num_class)
        else:
            x = head_by_head_layer(layer, x) if is_faster_head_by_head(x) else layer(x)
        if index in self._hidden_layers.values():
            self._hidden[index] = to_map(x[:, num_class:], self.layout.grid)
        return x

    def features(self, maps: Sequence[Tensor], class_tokens: Tensor) -> Features:
        """Return the features, once all layers have run."""
        return Features(
            maps if self.request.maps else (), self.layout.grid, class_tokens,
            hidden={wanted: self._hidden[index] for wanted, index in self._hidden_layers.items()},
            observed={item: item.finish(state) for item, state in self._states.items()}, layout=self.layout)

    def _observe(self, index: int, layer: nn.Module, x: Tensor, num_queries: Optional[int]) -> Tensor:
        """Run a layer that somebody looks at; computes ``num_queries`` tokens, or all."""
        watching = {reads: [item for item in self._watching[index] if item.reads == reads]
                    for reads in ('heads', 'mean', 'scores', 'query_key', 'block')}
        attn = layer.attn
        flat = project_qkv(layer, x)
        query, key, value = (split_heads(attn, part) for part in flat)
        first = None if watching['block'] else num_queries  # who looks at the block's output sees all tokens
        viewers = watching['heads'] + watching['mean']
        seen = _HeadViews(index, attn.num_heads, viewers, self._update)
        if not viewers:
            attended = fused_attention(layer, query[:, :, :first], key, value)
        elif torch.is_grad_enabled() and not any(item.grad for item in viewers):
            attended = fused_attention(layer, query[:, :, :first], key, value)
            with torch.no_grad():
                scaled, chunk = query.detach() * attn.head_dims**-0.5, head_chunk(query, attn.num_heads)
                for maps in iterate_head_maps(scaled, key.detach(), chunk):
                    seen(maps)
                    del maps
        else:
            attended = attend(layer, query * attn.head_dims**-0.5, key, value, seen, first)
        seen.finish()
        output = finish_layer(layer, x[:, :first], attended)
        if watching['scores']:
            factors = ScoreFactors(flat[0], flat[1], attn.head_dims**-0.5 / attn.num_heads)
            self._update(watching['scores'], index, factors)
        if watching['query_key']:
            self._update(watching['query_key'], index, QueryKey(query * attn.head_dims**-0.5, key))
        if watching['block']:
            self._update(watching['block'], index, output)
        return output.tokens[:, :num_queries]

    def _update(self, observations: Sequence[Observation], layer: int, value: Any) -> None:
        detached = _detached(value)
        for item in observations:
            self._states[item] = item.update(self._states[item], layer, value if item.grad else detached)


class _HeadViews:
    """Shows the maps of a layer's heads to observations as they come, and their mean at the end."""

    def __init__(self, layer: int, num_heads: int, observations: Sequence[Observation],
                 update: Callable[[Sequence[Observation], int, Any], None]) -> None:
        self._layer, self._num_heads, self._update = layer, num_heads, update
        self._heads = [item for item in observations if item.reads == 'heads']
        self._mean_viewers = [item for item in observations if item.reads == 'mean']
        self._mean: Optional[Tensor] = None

    def __call__(self, heads: HeadMaps) -> None:
        if self._heads:
            self._update(self._heads, self._layer, heads)
        if not self._mean_viewers:
            return
        maps = heads.maps
        if maps.shape[1] == self._num_heads:
            self._mean = maps.mean(dim=1, dtype=single_dtype(maps))
        elif self._mean is None:
            self._mean = at_least_single(maps[:, 0]) / self._num_heads
        else:
            self._mean.add_(maps[:, 0], alpha=1 / self._num_heads)

    def finish(self) -> None:
        """Show the mean over heads to those who look at it."""
        if self._mean is not None:
            self._update(self._mean_viewers, self._layer, self._mean)
            self._mean = None


def _detached(value: Any) -> Any:
    """Detach a tensor, or the tensors of a named tuple."""
    if isinstance(value, Tensor):
        return value.detach()
    return type(value)(*(part.detach() if isinstance(part, Tensor) else part for part in value))

