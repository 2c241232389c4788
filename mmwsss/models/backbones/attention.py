"""Encoder layers of mmpretrain run in other ways: with attention handed out, or for the class tokens alone."""

from functools import partial
from typing import Any, Callable, NamedTuple, Optional

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    'AttentionFn', 'LayerTrace', 'ScoreFactors', 'TraceFn', 'hand_out_attention', 'head_mean', 'layer_class_tokens',
    'layer_with_attention', 'layer_with_factors', 'layer_with_trace'
]

AttentionFn = Callable[[int, Tensor], Any]


class ScoreFactors(NamedTuple):
    """Two factors whose product is the mean over heads of a layer's scores, the scaled products before softmax.

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


class LayerTrace(NamedTuple):
    """What a layer leaves behind when it runs on fused attention.

    Attributes:
        query: (B, heads, T, d), scaled.
        key: (B, heads, T, d).
        update: (B, T, D) what the attention sublayer gives after its output projection, before drop path and residual.
        tokens: (B, T, D) the residual stream after the layer.
    """

    query: Tensor
    key: Tensor
    update: Tensor
    tokens: Tensor

    def attention(self, logits: bool = False) -> Tensor:
        """Compute the layer's attention (B, heads, T, T), which it never stored itself, or the scaled products."""
        products = self.query @ self.key.transpose(-2, -1)
        return products if logits else products.softmax(dim=-1)

    def factors(self, start: int) -> ScoreFactors:
        """Give the factors of the mean scores of tokens from ``start`` on."""
        query, key = (heads[:, :, start:].transpose(1, 2).flatten(2) for heads in (self.query, self.key))
        return ScoreFactors(query, key, 1 / self.query.shape[1])

    def detach(self) -> 'LayerTrace':
        """Give the same without gradient."""
        return LayerTrace(*(part.detach() for part in self))


TraceFn = Callable[[int, LayerTrace], None]


def head_mean(layer: int, attention: Tensor) -> Tensor:
    """Reduce attention (B, H, T, T) to its mean over heads (B, T, T); the default attention function."""
    return attention.mean(dim=1)


def _heads(attn: nn.Module, x: Tensor) -> Tensor:
    """Split (B, T, heads * d) into (B, heads, T, d)."""
    return x.unflatten(2, (attn.num_heads, attn.head_dims)).transpose(1, 2)


def _project_out(attn: nn.Module, x: Tensor) -> Tensor:
    """Merge heads (B, heads, T, d) and apply the output projection of mmpretrain's attention module."""
    x = attn.proj(x.transpose(1, 2).flatten(2))
    return attn.out_drop(attn.gamma1(attn.proj_drop(x)))


def layer_with_attention(layer: nn.Module, x: Tensor, logits: bool = False,
                         first: Optional[int] = None) -> tuple[Tensor, Tensor]:
    """Run an encoder layer with explicit attention.

    Args:
        layer: mmpretrain's ``TransformerEncoderLayer``.
        x: (B, T, D) tokens.
        logits: Give the scaled products before softmax instead of probabilities.
        first: Compute only this many of the tokens; None for all.

    Returns:
        Tokens (B, T or first, D) and attention (B, heads, T, T).
    """
    attn = layer.attn
    q, k, v = (_heads(attn, t) for t in attn.qkv(layer.ln1(x)).chunk(3, dim=2))
    scores = (q * attn.head_dims**-0.5) @ k.transpose(-2, -1)
    probs = scores.softmax(dim=-1)
    out = F.dropout(probs[:, :, :first], attn.attn_drop, training=layer.training) @ v
    x = x[:, :first] + _project_out(attn, out)
    return layer.ffn(layer.ln2(x), identity=x), scores if logits else probs


def layer_with_trace(layer: nn.Module, x: Tensor) -> tuple[Tensor, LayerTrace]:
    """Run an encoder layer on tokens (B, T, D) with fused attention; give its result and its trace."""
    attn = layer.attn
    q, k, v = (_heads(attn, t) for t in attn.qkv(layer.ln1(x)).chunk(3, dim=2))
    out = F.scaled_dot_product_attention(q, k, v, dropout_p=attn.attn_drop if layer.training else 0.)
    update = attn.proj(out.transpose(1, 2).flatten(2))
    x = x + attn.out_drop(attn.gamma1(attn.proj_drop(update)))
    x = layer.ffn(layer.ln2(x), identity=x)
    return x, LayerTrace(q * attn.head_dims**-0.5, k, update, x)


def hand_out_attention(layer: nn.Module, x: Tensor, index: int, attention_fn: AttentionFn, logits: bool = False,
                       first: Optional[int] = None) -> tuple[Tensor, Any]:
    """Run an encoder layer and hand its attention to a function.

    On a CPU without gradients, a function that has ``add_head(index, attention, num_heads)`` gets the probabilities of
    one head after the other, (B, T, T), which stay in the cache; its result is then None. On a GPU all heads at once
    are faster.

    Args:
        layer: mmpretrain's ``TransformerEncoderLayer``.
        x: (B, T, D) tokens.
        index: Number of the layer, for the function.
        attention_fn: Called as ``attention_fn(index, attention)`` with (B, heads, T, T).
        logits: See :func:`layer_with_attention`.
        first: See :func:`layer_with_attention`.

    Returns:
        Tokens (B, T or first, D) and what the function returned.
    """
    add_head = getattr(attention_fn, 'add_head', None)
    drops = layer.training and layer.attn.attn_drop > 0
    if add_head is None or logits or drops or torch.is_grad_enabled() or x.device.type != 'cpu':
        x, maps = layer_with_attention(layer, x, logits, first)
        return x, attention_fn(index, maps)
    return _layer_by_heads(layer, x, partial(add_head, index), first), None


def _layer_by_heads(layer: nn.Module, x: Tensor, add_head: Callable[[Tensor, int], None],
                    first: Optional[int]) -> Tensor:
    attn, out = layer.attn, []
    q, k, v = (_heads(attn, t) for t in attn.qkv(layer.ln1(x)).chunk(3, dim=2))
    q = q * attn.head_dims**-0.5
    for head in range(attn.num_heads):
        probs = (q[:, head] @ k[:, head].transpose(1, 2)).softmax(dim=-1)
        out.append(probs[:, :first] @ v[:, head])
        add_head(probs, attn.num_heads)
        del probs  # so that the next head takes its place
    x = x[:, :first] + _project_out(attn, torch.stack(out, dim=1))
    return layer.ffn(layer.ln2(x), identity=x)


def layer_class_tokens(layer: nn.Module, x: Tensor, num_tokens: int) -> Tensor:
    """Run an encoder layer for its class tokens only: queries and feed-forward of (B, M, D), keys of all tokens."""
    attn = layer.attn
    normed = layer.ln1(x)
    dims = attn.embed_dims
    weight, bias = attn.qkv.weight, attn.qkv.bias
    q = F.linear(normed[:, :num_tokens], weight[:dims], None if bias is None else bias[:dims])
    k, v = F.linear(normed, weight[dims:], None if bias is None else bias[dims:]).chunk(2, dim=2)
    out = F.scaled_dot_product_attention(
        _heads(attn, q), _heads(attn, k), _heads(attn, v),
        dropout_p=attn.attn_drop if layer.training else 0.)
    x = x[:, :num_tokens] + _project_out(attn, out)
    return layer.ffn(layer.ln2(x), identity=x)


def layer_with_factors(layer: nn.Module, x: Tensor, start: int,
                       first: Optional[int] = None) -> tuple[Tensor, ScoreFactors]:
    """Run an encoder layer on fused attention, and give the factors of its scores, with gradient.

    Args:
        layer: mmpretrain's ``TransformerEncoderLayer``.
        x: (B, T, D) tokens.
        start: Index of the first token whose scores are given.
        first: Compute only this many of the tokens; None for all.

    Returns:
        Tokens (B, T or first, D), and factors of N = T - start tokens.
    """
    attn = layer.attn
    q, k, v = attn.qkv(layer.ln1(x)).chunk(3, dim=2)
    factors = ScoreFactors(q[:, start:], k[:, start:], attn.head_dims**-0.5 / attn.num_heads)
    out = F.scaled_dot_product_attention(
        _heads(attn, q[:, :first]), _heads(attn, k), _heads(attn, v),
        dropout_p=attn.attn_drop if layer.training else 0.)
    x = x[:, :first] + _project_out(attn, out)
    return layer.ffn(layer.ln2(x), identity=x), factors
