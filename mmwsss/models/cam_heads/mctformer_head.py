"""MCTformer's class scores and class maps: one class token per class, its attention, and a patch classifier."""

from collections.abc import Callable, Sequence
from typing import Optional

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..backbones import AttentionViT
from ..utils import AttentionSums, normalize_cams, refine_with_affinity

__all__ = ['MCTformerHead']

CLASS_SCORES: dict[str, Callable[['MCTformerHead', Tensor], Tensor]] = {
    'mean': lambda head, tokens: tokens.mean(dim=2),
    'max': lambda head, tokens: tokens.amax(dim=2),
    'fc': lambda head, tokens: (tokens * head.fc.weight).sum(dim=2) + head.fc.bias,
}
"""Score (B, C) of class tokens (B, C, D), every class by its own token (MCTformer, Table 7)."""

UNREFINED = {'fused': 'fused_cams', 'patchcam': 'patch_cams', 'mct': 'attention'}
FUSIONS = ('released', 'mean', 'paper')


@MODELS.register_module()
class MCTformerHead(BaseModule):
    """Heads of MCTformer-V1 and, with a patch classifier, -V2 (CVPR 2022).

    The score of a class comes from its own token (Eq. 4), in V2 a second one from the patch tokens (Eq. 5). The map of
    a class is the attention of its token to the patches in the last layers (Eq. 2), in V2 times the patch classifier's
    rectified map (Eq. 6), refined by the patches' attention among themselves (Eq. 3 and 7).

    Args:
        num_classes: C, foreground classes; the backbone has as many class tokens.
        in_channels: D, token width.
        patch_classifier: V2's 3x3 convolution on the patch tokens; without it, V1.
        class_score: ``'mean'`` over a token's channels, their ``'max'``, or a linear layer (``'fc'``) with its own row
            for every class (Table 7). V1's checkpoints hold the linear layer in any case; unused it is frozen.
        attention_type: What ``cams`` are made of: ``'fused'``, ``'patchcam'`` (V2 alone) or ``'mct'``, attention alone.
            None: fused where there is a patch classifier.
        attention_layers: K, number of last layers whose class-to-patch attention is used (Fig. 6).
        affinity_layers: Layers whose patch affinity refines ``cams``; negative indices count from the end. None: all.
            Empty: no refinement.
        fusion: ``'released'``: attention summed over layers, the factors multiplied as they are, as for the published
            numbers; ``'mean'``: attention averaged instead, also that which refines; ``'paper'``: attention averaged
            (Eq. 2), and both factors min-max normalised first, which takes the place of ReLU.

    Raises:
        ValueError: On an unknown choice, or one that needs the patch classifier of V2.
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: int,
                 patch_classifier: bool = True,
                 class_score: str = 'mean',
                 attention_type: Optional[str] = None,
                 attention_layers: int = 3,
                 affinity_layers: Optional[Sequence[int]] = None,
                 fusion: str = 'released',
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        attention_type = attention_type or ('fused' if patch_classifier else 'mct')
        _check_choice('class_score', class_score, CLASS_SCORES)
        _check_choice('attention_type', attention_type, UNREFINED if patch_classifier else ('mct', ))
        _check_choice('fusion', fusion, FUSIONS)
        if attention_layers < 1:
            raise ValueError(f'attention_layers must be at least 1, got {attention_layers}')
        self.num_classes = num_classes
        self.class_score = class_score
        self.attention_type = attention_type
        self.attention_layers = attention_layers
        self.affinity_layers = affinity_layers
        self.fusion = fusion
        self.fc = self.patch_classifier = None
        if class_score == 'fc' or not patch_classifier:
            self.fc = nn.Linear(in_channels, num_classes).requires_grad_(class_score == 'fc')
        if patch_classifier:
            self.patch_classifier = nn.Conv2d(in_channels, num_classes, kernel_size=3, padding=1)

    @property
    def map_names(self) -> tuple[str, ...]:
        """All maps that can be asked for; ``refined_*`` are those of Table 5 with patch affinity."""
        bases = ('attention', 'patch_cams', 'fused_cams') if self.patch_classifier else ('attention', )
        return ('cams', *bases, *(f'refined_{name}' for name in bases))

    def forward(self, backbone: AttentionViT, inputs: Tensor) -> dict[str, Tensor]:
        """Score the classes of images (B, 3, H, W): ``logits`` and, with V2, ``patch_logits``, each (B, C)."""
        tokens = backbone.forward_tokens(inputs, class_tokens_only=self.patch_classifier is None)
        return self._scores(tokens.class_tokens, tokens.patch_tokens)

    def extract(self,
                backbone: AttentionViT,
                inputs: Tensor,
                names: Optional[Sequence[str]] = None,
                classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Give scores and maps of images, computing what they need and nothing else.

        Args:
            backbone: With C class tokens.
            inputs: (B, 3, H, W) normalised images.
            names: Maps of :attr:`map_names`; None: all but the ``refined_*``, of which ``cams`` is one.
            classes: (P,) indices of the classes whose maps are wanted; None for all.

        Returns:
            The scores of :meth:`forward`, and maps (B, C or P, h, w): ``attention`` before refinement, ``patch_cams``
            after ReLU, ``fused_cams`` their product, ``cams`` what ``attention_type`` says, refined.
        """
        names = [n for n in self.map_names if not n.startswith('refined_')] if names is None else names
        plans = {name: self._plan(name) for name in names}
        bases = {base for base, _ in plans.values()}
        sums = AttentionSums(
            self.num_classes,
            self._last_layers(backbone) if bases - {'patch_cams'} else (),
            self._affinity_layers(backbone) if any(refined for _, refined in plans.values()) else (),
            classes)
        tokens = backbone.forward_tokens(
            inputs, attention=sums.layers, attention_fn=sums, class_tokens_only=self.patch_classifier is None)
        patch_maps = self._patch_maps(tokens.patch_tokens)
        maps = self._unrefined(bases, sums, patch_maps, backbone.token_grid(inputs.shape[-2:]), classes)
        found = {name: self._refined(maps[base], sums.patch_to_patch, backbone) if refined else maps[base]
                 for name, (base, refined) in plans.items()}
        return {**self._scores(tokens.class_tokens, tokens.patch_tokens, patch_maps), **found}

    def _scores(self, class_tokens: Tensor, patch_tokens: Optional[Tensor],
                patch_maps: Optional[Tensor] = None) -> dict[str, Tensor]:
        scores = {'logits': CLASS_SCORES[self.class_score](self, class_tokens)}
        if self.patch_classifier is not None:
            patch_maps = self._patch_maps(patch_tokens) if patch_maps is None else patch_maps
            scores['patch_logits'] = self._pooled(patch_maps)
        return scores

    def _pooled(self, patch_maps: Tensor) -> Tensor:
        """Score (B, C) of the patch classifier's maps (MCTformer, Eq. 5)."""
        return patch_maps.mean(dim=(2, 3))

    def _patch_maps(self, patch_tokens: Optional[Tensor]) -> Optional[Tensor]:
        """Signed maps (B, C, h, w) of the patch classifier; None in V1."""
        return None if self.patch_classifier is None else self.patch_classifier(patch_tokens)

    def _plan(self, name: str) -> tuple[str, bool]:
        """Which unrefined map a map is made of, and whether it is refined."""
        _check_choice('map', name, self.map_names)
        if name == 'cams':
            return UNREFINED[self.attention_type], self.affinity_layers is None or len(self.affinity_layers) > 0
        return name.removeprefix('refined_'), name.startswith('refined_')

    def _last_layers(self, backbone: AttentionViT) -> range:
        if self.attention_layers > backbone.num_layers:
            raise ValueError(
                f'attention_layers is {self.attention_layers}, the backbone has {backbone.num_layers} layers')
        return range(backbone.num_layers - self.attention_layers, backbone.num_layers)

    def _affinity_layers(self, backbone: AttentionViT) -> list[int]:
        layers = range(backbone.num_layers)
        return list(layers) if not self.affinity_layers else [layers[i] for i in self.affinity_layers]

    def _refined(self, maps: Tensor, affinity: Tensor, backbone: AttentionViT) -> Tensor:
        """Refine maps by affinity summed over layers (MCTformer, Eq. 3 and 7)."""
        maps = refine_with_affinity(maps, affinity)
        return maps if self.fusion == 'released' else maps / len(self._affinity_layers(backbone))

    def _unrefined(self, bases: set[str], sums: AttentionSums, patch_maps: Optional[Tensor], grid: tuple[int, int],
                   classes: Optional[Tensor]) -> dict[str, Tensor]:
        """Give the maps of ``bases`` before refinement (MCTformer, Eq. 2 and 6)."""
        maps = {}
        if bases - {'attention'}:
            patch_maps = patch_maps if classes is None else patch_maps[:, classes]
            maps['patch_cams'] = F.relu(patch_maps)
        if bases - {'patch_cams'}:
            attention = sums.class_to_patch.unflatten(2, grid)
            maps['attention'] = attention if self.fusion == 'released' else attention / self.attention_layers
        if 'fused_cams' in bases:
            factors = maps['attention'], maps['patch_cams']
            if self.fusion == 'paper':
                factors = (normalize_cams(factor, 'minmax', eps=1e-8) for factor in (maps['attention'], patch_maps))
            maps['fused_cams'] = torch.mul(*factors)
        return maps


def _check_choice(argument: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f'{argument} must be one of {sorted(allowed)}, got {value!r}')
