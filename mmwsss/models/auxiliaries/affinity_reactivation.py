"""AReAM's mechanism as a part that any method whose backbone can be observed takes along."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, Optional

import torch
from mmengine.logging import MessageHub
from torch import Tensor, nn

from mmwsss.registry import MODELS
from mmwsss.utils import first_few, refuse_old_keys

from ..backbones.attention import ScoreFactors
from ..backbones.features import Features, Request, extract_features
from ..backbones.observations import PatchAttention, PatchScores
from ..label_steps import LabelBatch, LabelPipeline, with_thresholds
from ..utils import (
    IGNORE_INDEX,
    fuse_views,
    layer_entropies,
    normalize_cams,
    present_classes,
    reactivated_cams,
    reactivation_weights,
    resize_maps,
    token_affinity_labels,
)
from .base import BaseAuxiliary, TrainingBatch

__all__ = ['AffinityReactivation', 'AffinityTargets']

_CHOICES = dict(
    entropy_mode=('online', 'offline', 'uniform'),
    weight_scope=('image', 'batch'),
    affinity_keys=('all', 'patches'),
    cam_pass=('eval', 'train', 'reuse'))


class AffinityTargets(NamedTuple):
    """What the affinity of a batch is supervised with.

    Attributes:
        labels: (B, h, w) of tokens: 0, 1 + index among the classes of the batch, or 255.
        counterparts: (B, L) weights of the layers' losses.
    """

    labels: Tensor
    counterparts: Tensor


@MODELS.register_module()
class AffinityReactivation(BaseAuxiliary):
    """Adaptive re-activation of attention affinities (AReAM, arXiv 2305.03112, Sec. III).

    In each iteration, without gradient, a class map is refined by the attention between patches of every layer; layers
    that make it flat count little in the re-activated map, and much in the affinity loss. The re-activated map of the
    image and its mirror image becomes a pseudo label, whose token pairs supervise the scores before softmax of all
    layers. Nothing here has parameters.

    Args:
        map_name: The map before refinement: ``'fused_cams'`` of MCTformer-V2, ``'attention'`` of -V1, ``'raw_cams'`` of
            AReAM, ``'cams'`` or ``'aux_cams'`` of ToCo, ``'conv_cams'`` of TransCAM.
        loss: :class:`AffinityLoss`.
        label_cfg: ``steps`` and ``labeler`` of the :class:`LabelPipeline` that makes pseudo labels of re-activated
            maps. A ``ConstantBackground`` or ``ThresholdLabels`` without scores gets ``low`` and ``high``.
        weight: Factor of the affinity loss (lambda of Eq. 20).
        begin: Epoch, counted from 0, or iteration with which the mechanism begins to work.
        by_epoch: What ``begin`` counts.
        low: Background score below which a pixel is background.
        high: Background score that foreground exceeds.
        scales: Sizes of the views for the pseudo label; 1 must be one of them. Each has a mirror image.
        entropy_mode: ``'online'``: weights from the current model, in every iteration; ``'offline'``:
            ``counterparts``; ``'uniform'``: 1 everywhere, for maps as well as for losses.
        counterparts: (L,) fixed weights of the losses with ``'offline'``, in [0, 1].
        weight_scope: Weights by ``'image'``, or one set a ``'batch'``, from entropies averaged over it.
        layer_split: Layers below this index refine and the others are supervised; None: all do both.
        rectify: Replace negative values of the map by 0 before its refinement. AReAM's code on Conformer does not.
        normalize_cam: Min-max normalize the map before its refinement. Entropies of maps as small as products with
            attention do not differ in float32 otherwise.
        normalize_refined: Likewise every refined map before its entropy.
        affinity_keys: Softmax over ``'all'`` tokens, so that rows sum to less than 1, or over ``'patches'``.
        cam_pass: The pass without gradient runs in ``'eval'`` or ``'train'`` mode, in the latter with the mirror images
            in the same batch, as batch norm sees them in AReAM's code; ``'reuse'`` takes map and affinity from the
            training pass, without mirror image and scales.

    Attributes:
        tracing: Set it to True before an iteration to have :attr:`trace` filled in it, which costs some time.
        trace: Means over the images of an iteration: ``entropies`` of the maps that each layer refines, relative to
            ln N, ``weights`` and ``counterparts``, ``losses`` of the supervised layers before they are weighted, each a
            list of layers, and ``positive_pairs``, ``negative_pairs`` and ``ignored_share``.

    Raises:
        ValueError: On an unknown choice, or one that lacks what it needs.
    """

    def __init__(self,
                 map_name: str,
                 loss: dict,
                 label_cfg: Optional[dict] = None,
                 weight: float = 0.2,
                 begin: int = 0,
                 by_epoch: bool = True,
                 low: float = 0.25,
                 high: float = 0.7,
                 scales: Sequence[float] = (1.0, ),
                 entropy_mode: str = 'online',
                 counterparts: Optional[Sequence[float]] = None,
                 weight_scope: str = 'image',
                 layer_split: Optional[int] = None,
                 rectify: bool = True,
                 normalize_cam: bool = True,
                 normalize_refined: bool = False,
                 affinity_keys: str = 'all',
                 cam_pass: str = 'eval',
                 **old) -> None:
        super().__init__()
        refuse_old_keys('AffinityReactivation', old, dict.fromkeys(
            ('refiner', 'pseudo_label'), 'label_cfg=dict(steps=[...], labeler=...)'))
        if old:
            raise TypeError(f'AffinityReactivation has no {first_few(old)}')
        _check_choices(entropy_mode=entropy_mode, weight_scope=weight_scope, affinity_keys=affinity_keys,
                       cam_pass=cam_pass)
        if 1 not in scales:
            raise ValueError(f'scales must hold 1, the size at which affinity is supervised, got {tuple(scales)}')
        if (entropy_mode == 'offline') != (counterparts is not None):
            raise ValueError("counterparts and entropy_mode='offline' belong together")
        self.map_name = map_name
        self.loss = MODELS.build(loss)
        self.label_pipeline = LabelPipeline(**with_thresholds(label_cfg, low, high))
        self.weight = weight
        self.begin = begin
        self.by_epoch = by_epoch
        self.scales = tuple(scales)
        self.entropy_mode = entropy_mode
        self.counterparts = counterparts
        self.weight_scope = weight_scope
        self.layer_split = layer_split
        self.rectify = rectify
        self.normalize_cam = normalize_cam
        self.normalize_refined = normalize_refined
        self.affinity_keys = affinity_keys
        self.cam_pass = cam_pass
        self.tracing = False
        self.trace: Optional[dict[str, Any]] = None
        self._pass_trace: dict[str, Any] = {}

    @property
    def active(self) -> bool:
        """Whether training has come as far as ``begin``."""
        progress = MessageHub.get_current_instance().get_info('epoch' if self.by_epoch else 'iter', 0)
        return progress >= self.begin

    def request(self, model: nn.Module) -> Request:
        """Request the scores of all layers and, to reuse the training pass, attention and the map."""
        request = Request(observations=(PatchScores(grad=True), ), maps=False)
        if self.cam_pass != 'reuse':
            return request
        return request + Request(observations=(self._attention, ), maps=False) + model.cam_head.request([self.map_name])

    def losses(self, model: nn.Module, features: Features, batch: TrainingBatch,
               targets: Optional[AffinityTargets]) -> dict[str, Tensor]:
        """Supervise the affinity of the training pass.

        Returns:
            ``loss_affinity`` and, for the log, the mean weight of each layer's loss (``counterpart_1`` and on),
            positive and negative pairs an image, and the share of ignored tokens.
        """
        if self.cam_pass == 'reuse':
            present = present_classes(batch.image_labels)
            maps, counterparts = self._reactivated_pass(model, features, batch.image_labels[:, present], present)
            self.trace = self._pass_trace
            fused = resize_maps(maps, batch.images.shape[-2:])
            targets = AffinityTargets(self._token_labels(fused, batch, present, maps.shape[-2:]), counterparts)
        return self.supervise(features[PatchScores(grad=True)], targets)

    @torch.no_grad()
    def targets(self, model: nn.Module, batch: TrainingBatch) -> Optional[AffinityTargets]:
        """Make the targets of a batch in passes of their own; None to reuse the training pass."""
        if self.cam_pass == 'reuse':
            return None
        present = present_classes(batch.image_labels)
        labels = batch.image_labels[:, present]
        found = []

        def reactivated(views: Tensor) -> dict[str, Tensor]:
            at_once = len(views) if self.cam_pass == 'train' else len(batch.images)
            return {'cams': torch.cat([one_view(images) for images in views.split(at_once)])}

        def one_view(images: Tensor) -> Tensor:
            request = model.cam_head.request([self.map_name], present)
            request += Request(observations=(self._attention, ), maps=False)
            features = extract_features(model.backbone, images, request)
            all_labels = labels.repeat(len(images) // len(labels), 1)
            maps, counterparts = self._reactivated_pass(model, features, all_labels, present)
            if images.shape[2:] == batch.images.shape[2:]:
                found.append((counterparts[:len(labels)], maps.shape[-2:], self._pass_trace))
            return maps

        with _evaluating(model.backbone) if self.cam_pass == 'eval' else nullcontext():
            fused = fuse_views(reactivated, batch.images, self.scales, flip_fusion='sum', scale_fusion='sum')['cams']
        # Weights that autocast has cast without gradient must not serve the training pass.
        torch.clear_autocast_cache()
        counterparts, grid, self.trace = found[0]  # of the image itself, which precedes its mirror image
        return AffinityTargets(self._token_labels(fused, batch, present, grid), counterparts)

    def _reactivated_pass(self, model: nn.Module, features: Features, image_labels: Tensor,
                          present: Tensor) -> tuple[Tensor, Tensor]:
        """Re-activate the head's map of a pass; see :meth:`reactivate`."""
        classes = None if self.cam_pass == 'reuse' else present
        maps = model.cam_head.maps(features, [self.map_name], classes)[self.map_name]
        maps = maps[:, present] if classes is None else maps
        return self.reactivate(maps, features[self._attention], image_labels)

    @property
    def _attention(self) -> PatchAttention:
        return PatchAttention(keys=self.affinity_keys)  # type: ignore[arg-type]

    @torch.no_grad()
    def reactivate(self, maps: Tensor, affinities: Tensor, image_labels: Tensor) -> tuple[Tensor, Tensor]:
        """Refine maps with the layers that can be trusted (AReAM, Eq. 7 to 12).

        Args:
            maps: (B, P, h, w) before refinement.
            affinities: (B, L, N, N).
            image_labels: (B, P) multi-hot, of the same classes.

        Returns:
            Re-activated maps (B, P, h, w), and the weights (B, L) of the layers' losses.
        """
        with torch.autocast(maps.device.type, enabled=False):
            cams = maps.float().relu() if self.rectify else maps.float()
            cams = cams * image_labels[:, :, None, None].float()
            cams = normalize_cams(cams, 'minmax', eps=1e-6) if self.normalize_cam else cams
            weights, counterparts = self._layer_weights(cams, affinities, image_labels)
            self._pass_trace = {}
            if self.tracing:
                entropies = layer_entropies(cams, affinities, image_labels, self.normalize_refined, relative=True)
                self._pass_trace = {name: values.mean(dim=0).tolist() for name, values in (
                    ('entropies', entropies), ('weights', weights), ('counterparts', counterparts))}
            kept = slice(None, self.layer_split)
            return reactivated_cams(cams, affinities[:, kept], weights[:, kept]), counterparts

    def supervise(self, scores: Sequence[ScoreFactors], targets: AffinityTargets) -> dict[str, Tensor]:
        """Supervise the scores of all layers before softmax; see :meth:`losses`."""
        pairs = token_affinity_labels(targets.labels, include_diagonal=True)
        supervised = slice(self.layer_split, None)
        loss = self.loss.of_factors(scores[supervised], pairs, targets.counterparts[:, supervised])
        log = {f'counterpart_{i}': value for i, value in enumerate(targets.counterparts.mean(dim=0), start=1)}
        log['positive_pairs'] = (pairs == 1).sum() / len(pairs)
        log['negative_pairs'] = (pairs == 0).sum() / len(pairs)
        log['ignored_share'] = (targets.labels == IGNORE_INDEX).float().mean()
        if self.tracing:
            self._trace_losses(scores[supervised], pairs, log)
        return {'loss_affinity': self.weight * loss, **log}

    @torch.no_grad()
    def _trace_losses(self, scores: Sequence[ScoreFactors], pairs: Tensor, log: dict[str, Tensor]) -> None:
        """Add the loss of each layer, and the numbers of pairs, to the trace."""
        one = pairs.new_ones((len(pairs), 1), dtype=torch.float32)
        losses = [self.loss.of_factors([layer], pairs, one).item() for layer in scores]
        numbers = {name: float(log[name]) for name in ('positive_pairs', 'negative_pairs', 'ignored_share')}
        self.trace = {**(self.trace or {}), 'losses': losses, **numbers}

    def _layer_weights(self, cams: Tensor, affinities: Tensor, image_labels: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (B, L) of the layers for maps and for losses."""
        if self.entropy_mode == 'online':
            return reactivation_weights(cams, affinities, image_labels, self.weight_scope, self.normalize_refined)
        shape = affinities.shape[:2]
        if self.entropy_mode == 'uniform':
            return cams.new_ones(shape), cams.new_ones(shape)
        if len(self.counterparts) != shape[1]:
            raise ValueError(f'counterparts has {len(self.counterparts)} entries, the backbone has {shape[1]} layers')
        counterparts = cams.new_tensor(self.counterparts).expand(shape)
        return 1 - counterparts, counterparts

    def _token_labels(self, maps: Tensor, batch: TrainingBatch, present: Tensor, grid: Sequence[int]) -> Tensor:
        """Turn maps (B, P, H, W) of any range into labels (B, h, w) of tokens, from the corners of their patches."""
        with torch.autocast(maps.device.type, enabled=False):
            cams = normalize_cams(maps.relu(), 'minmax', eps=1e-6)
            # Refinement divides colors by their local spread: normalized images serve as well as any.
            labels = self.label_pipeline(LabelBatch.from_cams(
                batch.images.float(), cams, batch.image_labels[:, present], batch.boxes, inputs=batch.images))
        steps = [size // cells for size, cells in zip(labels.shape[1:], grid)]
        return labels[:, ::steps[0], ::steps[1]][:, :grid[0], :grid[1]]


def _check_choices(**chosen: str) -> None:
    for name, value in chosen.items():
        if value not in _CHOICES[name]:
            raise ValueError(f'{name} must be one of {_CHOICES[name]}, got {value!r}')


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Switch a module to evaluation, and every part of it back to what it was."""
    before = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, was in before:
            part.training = was
