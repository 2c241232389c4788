"""Encoder layers of mmpretrain run in other ways: with attention handed out, or for the class tokens alone."""

from typing import Any, Callable, Optional

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ['AttentionFn', 'head_mean', 'layer_class_tokens', 'layer_with_attention']

AttentionFn = Callable[[int, Tensor], Any]


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
