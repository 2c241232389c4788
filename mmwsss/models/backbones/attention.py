"""Encoder layers of mmpretrain, run so that their attention can be observed."""

from collections.abc import Callable
from typing import NamedTuple, Optional

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..utils import is_recording, uses_lower_precision

__all__ = ['BlockOutput', 'HeadMaps', 'QueryKey', 'ScoreFactors', 'attend', 'class_token_layer', 'finish_layer',
           'fused_attention', 'head_by_head_layer', 'head_chunk', 'is_faster_head_by_head', 'iterate_head_maps',
           'project_qkv', 'split_heads']

_CACHED_MAP = 2**22  # entries of the map of a head


class HeadMaps(NamedTuple):
    """Attention of all heads of a layer at once, or of one after the other.

    Attributes:
        maps: (B, n, T, T) probabilities, queries in rows; n is the number of heads, or 1.
        first: Index of the first of these n heads.
    """

    maps: Tensor
    first: int


class ScoreFactors(NamedTuple):
    """Two factors whose product is a layer's scores, the scaled products before softmax, averaged over heads.

    The mean over heads is one product over the whole width: no map of a single head is formed, and as long as the
    product is not taken, there is no map at all.

    Attributes:
        query: (B, N, D).
        key: (B, N, D).
        scale: Factor of the product.
    """

    query: Tensor
    key: Tensor
    scale: float

    def product(self) -> Tensor:
        """Compute the mean scores (B, N, N), queries in rows."""
        return (self.query @ self.key.transpose(1, 2)) * self.scale

    def from_token(self, start: int) -> 'ScoreFactors':
        """Return the factors of the tokens from index ``start`` on."""
        return ScoreFactors(self.query[:, start:], self.key[:, start:], self.scale)


class QueryKey(NamedTuple):
    """Queries and keys of a layer, from which its attention can be computed at any time.

    Attributes:
        query: (B, heads, T, d), scaled.
        key: (B, heads, T, d).
    """

    query: Tensor
    key: Tensor


class BlockOutput(NamedTuple):
    """Outputs of an encoder layer.

    Attributes:
        attention: (B, T, D) output of the attention sublayer after its projection, before drop path and residual.
        tokens: (B, T, D) residual stream after the layer.
    """

    attention: Tensor
    tokens: Tensor


def split_heads(attn: nn.Module, x: Tensor) -> Tensor:
    """Split (B, T, heads * d) into (B, heads, T, d)."""
    return x.unflatten(2, (attn.num_heads, attn.head_dims)).transpose(1, 2)


def project_qkv(layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute queries, keys and values, each (B, T, D) and unscaled, of the tokens that enter an encoder layer."""
    return layer.attn.qkv(layer.ln1(x)).chunk(3, dim=2)


def fused_attention(layer: nn.Module, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend without forming a map; unscaled queries (B, heads, T', d) and the result (B, heads, T', d)."""
    return F.scaled_dot_product_attention(query, key, value, dropout_p=layer.attn.attn_drop if layer.training else 0.)


def head_chunk(x: Tensor, num_heads: int) -> int:
    """Return how many heads to run at once.

    On a CPU one, whose map then stays in the cache, unless autograd keeps all maps anyway; on a GPU all, and also where
    a graph is recorded, which would otherwise have a copy of the operations for every head.
    """
    one_by_one = x.device.type == 'cpu' and not torch.is_grad_enabled() and not is_recording()
    return 1 if one_by_one else num_heads


def iterate_head_maps(query: Tensor, key: Tensor, chunk: int):
    """Compute attention from scaled queries and keys (B, heads, T, d), ``chunk`` heads at a time.

    Yields:
        HeadMaps: Let go of it before the next one is made.
    """
    key = _centered(key)
    for first in range(0, query.shape[1], chunk):
        part = slice(first, first + chunk)
        yield HeadMaps((query[:, part] @ key[:, part].transpose(-2, -1)).softmax(dim=-1), first)


def _centered(key: Tensor) -> Tensor:
    """Subtract their mean over tokens from keys (B, heads, T, d) of lower precision.

    This adds the same number to all scores of a query, which softmax does not see, and makes them smaller: rounding
    scores is the largest error of attention in lower precision, and grows with them.
    """
    if key.dtype not in (torch.bfloat16, torch.float16):
        return key
    single = key.float()
    return (single - single.mean(dim=2, keepdim=True)).to(key.dtype)


def attend(layer: nn.Module, query: Tensor, key: Tensor, value: Tensor, see: Callable[[HeadMaps], None],
           num_queries: Optional[int] = None) -> Tensor:
    """Attend with explicit maps and show each to a function.

    Args:
        layer: mmpretrain's ``TransformerEncoderLayer``.
        query: (B, heads, T, d), scaled.
        key: (B, heads, T, d).
        value: (B, heads, T, d).
        see: Called with the :class:`HeadMaps` of one or more heads, in order.
        num_queries: Compute the output of this many tokens only; None for all.

    Returns:
        (B, heads, T or num_queries, d).
    """
    outputs = []
    for maps, first in iterate_head_maps(query, key, head_chunk(query, query.shape[1])):
        kept = F.dropout(maps[:, :, :num_queries], layer.attn.attn_drop, training=layer.training)
        outputs.append(kept @ value[:, first:first + maps.shape[1]])
        see(HeadMaps(maps, first))
        del maps, kept  # so that the next heads take their place
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)


def finish_layer(layer: nn.Module, x: Tensor, attended: Tensor) -> BlockOutput:
    """Apply what follows attention in an encoder layer.

    Args:
        layer: mmpretrain's ``TransformerEncoderLayer``.
        x: (B, T', D) tokens that entered the layer.
        attended: (B, heads, T', d).
    """
    attn = layer.attn
    update = attn.proj(attended.transpose(1, 2).flatten(2))
    x = x + attn.out_drop(attn.gamma1(attn.proj_drop(update)))
    return BlockOutput(update, layer.ffn(layer.ln2(x), identity=x))


def is_faster_head_by_head(x: Tensor) -> bool:
    """Return whether an encoder layer that nobody observes runs faster with explicit maps, one head at a time.

    So it is on a CPU in a lower precision without gradient: torch's fused attention takes as long there as in float32,
    while the product of a single head is as fast as others as long as its map stays in the cache.

    Args:
        x: (B, T, D) tokens.
    """
    return uses_lower_precision(x.device) and head_chunk(x, 0) == 1 and x.shape[1]**2 <= _CACHED_MAP


def head_by_head_layer(layer: nn.Module, x: Tensor) -> Tensor:
    """Run an encoder layer on tokens (B, T, D) with the map of one head of one image at a time."""
    scale = layer.attn.head_dims**-0.5
    projected = [split_heads(layer.attn, part).split(1) for part in project_qkv(layer, x)]
    attended = [attend(layer, query * scale, key, value, lambda maps: None) for query, key, value in zip(*projected)]
    return finish_layer(layer, x, torch.cat(attended)).tokens


def class_token_layer(layer: nn.Module, x: Tensor, num_tokens: int) -> Tensor:
    """Run an encoder layer for its class tokens only: queries and feed-forward of (B, M, D), keys of all tokens."""
    attn = layer.attn
    normed = layer.ln1(x)
    dims = attn.embed_dims
    weight, bias = attn.qkv.weight, attn.qkv.bias
    query = F.linear(normed[:, :num_tokens], weight[:dims], None if bias is None else bias[:dims])
    key, value = F.linear(normed, weight[dims:], None if bias is None else bias[dims:]).chunk(2, dim=2)
    attended = fused_attention(layer, *(split_heads(attn, part) for part in (query, key, value)))
    return finish_layer(layer, x[:, :num_tokens], attended).tokens
