"""TransCAM's heads (JVCIR 2023): classifiers of both Conformer branches, and maps refined with the attention."""

from collections.abc import Sequence
from typing import Optional, Union

from mmengine.model.weight_init import trunc_normal_init
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..backbones.features import Features, Layers, Request
from ..backbones.observations import ClassAttentionSum, PatchAttentionSum
from ..utils import refine_with_affinity
from .base import BaseCAMHead, select_classes

__all__ = ['TransCAMHead']

REFINEMENTS = ('transcam', 'attnagg', 'clsattn', 'convcam')
TRAINED = {'sum': ('logits', ), 'branches': ('conv_logits', 'trans_logits')}
HALVES = ('all', 'shallow', 'deep')
OBSERVATIONS = {'transcam': PatchAttentionSum, 'attnagg': PatchAttentionSum, 'clsattn': ClassAttentionSum}


@MODELS.register_module()
class TransCAMHead(BaseCAMHead):
    """A convolution on the CNN branch and a linear layer on the class token.

    Both have a channel for background in front of the classes', as published; it is neither trained, apart from weight
    decay, nor given out. AReAM's code on Conformer has none, a 1x1 convolution, and a loss of each branch: set
    ``background_channel=False, kernel_size=1, trained='branches'``.

    Class maps are those of the convolution, before their spatial mean; with A the head-averaged attention summed over
    blocks, rows being queries, ``cams`` are (TransCAM, Eq. 5, 10 and 11):

    * ``'transcam'``: M'[i] = sum_j A[i, j] M[j]: every token collects;
    * ``'attnagg'``: M'[i] = sum_j A[j, i] M[j]: every token hands out;
    * ``'clsattn'``: M'[i] = A[class token, i] M[i];
    * ``'convcam'``: M' = M.

    Args:
        num_classes: C, foreground classes.
        conv_channels: Channels of the CNN branch's last map.
        token_channels: D, token width.
        refinement: One of the above.
        blocks: Transformer blocks whose attention is used: ``'all'``, ``'shallow'`` (first half), ``'deep'`` (second
            half), or their numbers, counted from 1 as in the paper.
        branch_weights: w_conv and w_trans, weights of the branches' scores in their sum (Fig. 4). The paper says 0.5
            and 0.5, the published weights were trained with 1 and 1.
        background_channel: Whether both classifiers have a channel for background.
        kernel_size: Of the convolution, odd.
        trained: Which scores have a loss: the ``'sum'`` of both branches, or each of the ``'branches'``.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        ValueError: On an unknown refinement or choice of blocks or of trained scores.
    """

    map_names = ('cams', 'conv_cams', *(f'{way}_{blocks}' for way in REFINEMENTS[:3] for blocks in HALVES))
    """All maps that can be asked for; such as ``transcam_deep`` are those of Tables 2 and 3."""

    def __init__(self,
                 num_classes: int,
                 conv_channels: int,
                 token_channels: int,
                 refinement: str = 'transcam',
                 blocks: Union[str, Sequence[int]] = 'all',
                 branch_weights: tuple[float, float] = (1., 1.),
                 background_channel: bool = True,
                 kernel_size: int = 3,
                 trained: str = 'sum',
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(num_classes, init_cfg)
        if refinement not in REFINEMENTS:
            raise ValueError(f'refinement must be one of {REFINEMENTS}, got {refinement!r}')
        if (blocks not in HALVES) if isinstance(blocks, str) else not len(blocks):
            raise ValueError(f'blocks must be one of {HALVES} or a list of block numbers, got {blocks!r}')
        if not isinstance(blocks, str) and min(blocks) < 1:
            raise ValueError(f'blocks are numbered from 1, got {list(blocks)}')
        if trained not in TRAINED:
            raise ValueError(f'trained must be one of {sorted(TRAINED)}, got {trained!r}')
        self.trained_scores = TRAINED[trained]
        self.refinement = refinement
        self.blocks = blocks
        self.branch_weights = tuple(branch_weights)
        self.first_class = int(background_channel)
        channels = self.first_class + num_classes
        self.conv_cls_head = nn.Conv2d(conv_channels, channels, kernel_size=kernel_size, padding=kernel_size // 2)
        self.trans_cls_head = nn.Linear(token_channels, channels)

    def init_weights(self) -> None:
        """Draw the weights as the authors do: truncated normal of std 0.02 (linear), Kaiming (convolution)."""
        super().init_weights()
        trunc_normal_init(self.trans_cls_head, std=0.02)
        nn.init.kaiming_normal_(self.conv_cls_head.weight, mode='fan_out', nonlinearity='relu')

    @property
    def default_maps(self) -> tuple[str, ...]:
        """The refined maps and those of the CNN branch."""
        return self.map_names[:2]

    def request(self, names: Sequence[str] = (), classes: Optional[Tensor] = None) -> Request:
        """Request the CNN branch's map, the class token, and attention where maps are refined; see the base class."""
        self.check_maps(names)
        observations = [OBSERVATIONS[way](layers=layers) for way, layers in map(self._plan, names) if way != 'convcam']
        return Request(observations=tuple(observations))

    def forward(self, features: Features) -> dict[str, Tensor]:
        """Return ``logits`` (B, C), the weighted sum of the branches' ``conv_logits`` and ``trans_logits``."""
        conv = features.once(self._conv_maps).mean(dim=(2, 3))
        trans = self.trans_cls_head(features.class_tokens[:, 0])[:, self.first_class:]
        conv_weight, trans_weight = self.branch_weights
        return {'logits': conv_weight * conv + trans_weight * trans, 'conv_logits': conv, 'trans_logits': trans}

    def maps(self, features: Features, names: Sequence[str], classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Compute the maps listed in ``names``; see the base class.

        Returns:
            Signed maps (B, C or P, h, w): ``conv_cams``, the CNN branch's, ``cams``, these refined as configured, or
            refined in another way.
        """
        conv = select_classes(features.once(self._conv_maps), classes)
        return {name: _refine(conv, features, *self._plan(name)) for name in names}

    def _conv_maps(self, features: Features) -> Tensor:
        """Compute the signed maps (B, C, h, w) of the classes, bias included."""
        conv, classes = self.conv_cls_head, slice(self.first_class, None)
        return F.conv2d(features.maps[-1], conv.weight[classes], conv.bias[classes], padding=conv.padding)

    def _plan(self, name: str) -> tuple[str, Layers]:
        """Return how a map is refined, and with the attention of which layers."""
        way, blocks = (self.refinement, self.blocks) if name == 'cams' else name.split('_')
        if way in ('conv', 'convcam'):
            return 'convcam', ()
        if isinstance(blocks, str):
            return way, None if blocks == 'all' else blocks
        return way, tuple(number - 1 for number in blocks)


def _refine(maps: Tensor, features: Features, way: str, layers: Layers) -> Tensor:
    """Refine maps (B, C, h, w) as :class:`TransCAMHead` describes."""
    if way == 'convcam':
        return maps
    attention = features[OBSERVATIONS[way](layers=layers)]
    if way == 'clsattn':
        return maps * attention.unflatten(2, maps.shape[2:])
    return refine_with_affinity(maps, attention.mT if way == 'attnagg' else attention)
