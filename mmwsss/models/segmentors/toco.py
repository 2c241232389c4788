"""ToCo: token contrast for weakly supervised semantic segmentation (CVPR 2023), one stage from tags to masks."""

from collections.abc import Sequence
from typing import Optional, Union

import torch
from mmengine.logging import MessageHub
from mmseg.models import EncoderDecoder
from torch import Tensor, nn

from mmwsss.registry import MODELS

from ..backbones import AttentionViT, ViTTokens
from ..utils import (
    cams_to_labels,
    cams_to_roi,
    crop_windows,
    mask_outside_boxes,
    present_classes,
    quantize_colors,
    refined_pseudo_labels,
    resize_maps,
    sample_local_windows,
    token_affinity_labels,
    valid_boxes,
)
from .cam_mixin import CAMMixin, fuse_normalized

__all__ = ['LossSchedule', 'ToCo']


class LossSchedule:
    """Weights of loss terms, some of which are off during the first phases of training.

    Args:
        weights: Term -> weight.
        phases: Dicts with ``begin``, the first iteration (from 0) of the phase, and ``off``, the terms that weigh 0 in
            it. The last phase that has begun counts.

    Raises:
        ValueError: If the first phase does not begin at 0, the order is not ascending, or a term is unknown.
    """

    def __init__(self, weights: dict[str, float], phases: Sequence[dict]) -> None:
        begins = [phase['begin'] for phase in phases]
        if not begins or begins[0] != 0 or begins != sorted(set(begins)):
            raise ValueError(f'phases must begin at 0 and ascend, got begins {begins}')
        unknown = {term for phase in phases for term in phase.get('off', ())} - set(weights)
        if unknown:
            raise ValueError(f'phases switch off unknown terms {sorted(unknown)}; known: {sorted(weights)}')
        self.weights, self.phases = dict(weights), list(phases)

    def at(self, iteration: int) -> dict[str, float]:
        """Give the weight of every term at a 0-based iteration."""
        phase = [p for p in self.phases if p['begin'] <= iteration][-1]
        return {term: 0. if term in phase.get('off', ()) else w for term, w in self.weights.items()}


@MODELS.register_module()
class ToCo(CAMMixin, EncoderDecoder):
    """One-stage WSSS with patch token contrast and class token contrast.

    In training a batch has the views ``main`` (global view 1, also the image that is segmented), ``global2`` and
    ``local`` (where local views are cut from). Every image passes the encoder once: the class maps at scale 1 come
    from the training pass, the teacher sees the student's detached class tokens, and the decoder runs for ``main``
    only. A term that weighs 0 is not computed; its parameters get gradients of zero, so that the optimiser counts
    their steps and decays them as if it had been.

    Args:
        cam_head: :class:`ToCoHead`.
        projector: :class:`ProjectionHead`; its exponential moving average is the teacher.
        refiner: :class:`PixelAdaptiveRefinement`.
        loss_ptc: :class:`PatchTokenContrastLoss`.
        loss_ctc: :class:`ClassTokenContrastLoss`.
        loss_reg: :class:`DenseEnergyLoss`.
        reactivation: :class:`AffinityReactivation`, whose loss is added; not part of ToCo.
        train_cfg: ``low``, ``high`` thresholds; ``cams`` as in ``test_cfg``; ``loss_weights`` over cls, aux, ptc, ctc,
            seg, reg; ``phases`` (see :class:`LossSchedule`); ``final_cam_begin``: iteration from which the final
            instead of the auxiliary CAM makes the pseudo label; ``ema_momentum``; ``num_local_crops``,
            ``local_crop_size``, ``local_min_foreground``; ``ptc_box``: ``'reference'`` applies the valid region in
            pixels to the token grid, as the published numbers did, ``'scaled'`` divides it by the patch size.
        **kwargs: As in mmseg's ``EncoderDecoder``; ``decode_head.loss_decode`` is the segmentation loss.
    """

    map_names = ('cams', 'aux_cams')

    def __init__(self, backbone: dict, decode_head: dict, cam_head: dict, projector: dict, refiner: dict,
                 loss_ptc: dict, loss_ctc: dict, loss_reg: dict, train_cfg: dict, reactivation: Optional[dict] = None,
                 **kwargs) -> None:
        super().__init__(backbone, decode_head, train_cfg=train_cfg, **kwargs)
        if train_cfg.get('ptc_box', 'reference') not in ('reference', 'scaled'):
            raise ValueError(f"train_cfg.ptc_box must be 'reference' or 'scaled', got {train_cfg['ptc_box']!r}")
        self.cam_head = MODELS.build(cam_head)
        self.projector = MODELS.build(projector)
        self.teacher_projector = MODELS.build(projector).requires_grad_(False)
        self.teacher_projector.load_state_dict(self.projector.state_dict())
        self.refiner = MODELS.build(refiner)
        self.loss_ptc = MODELS.build(loss_ptc)
        self.loss_ctc = MODELS.build(loss_ctc)
        self.loss_reg = MODELS.build(loss_reg)
        self.loss_cls = nn.MultiLabelSoftMarginLoss()
        self.reactivation = None if reactivation is None else MODELS.build(reactivation)
        self.schedule = LossSchedule(train_cfg['loss_weights'], train_cfg['phases'])

    def init_weights(self) -> None:
        """Initialise all parts; the teacher starts as a copy of the projector."""
        super().init_weights()
        self.teacher_projector.load_state_dict(self.projector.state_dict())

    # Inference

    def _tokens(self, inputs: Tensor, backbone: Optional[AttentionViT] = None) -> tuple[Tensor, Tensor, ViTTokens]:
        """Give last tokens (B, D, h, w), auxiliary tokens (B, D, h, w) and all that the pass gave."""
        backbone = self.backbone if backbone is None else backbone
        tokens = backbone.forward_tokens(inputs, hidden=[self.cam_head.aux_layer])
        return tokens.patch_tokens, *tokens.hidden.values(), tokens

    def class_maps(self, inputs: Tensor, classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Give ``cams`` and ``aux_cams`` (B, C, h, w) of one pass; neither decoder nor pooling runs."""
        features, aux_features, _ = self._tokens(inputs)
        return self.cam_head.class_maps(features, aux_features, classes)

    @torch.no_grad()
    def extract_cams(self, inputs: Tensor, image_labels: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Run one scale without flip.

        Args:
            inputs: (B, 3, H, W) normalised images of any size.
            image_labels: (B, C) multi-hot; maps of absent classes are set to 0. None keeps all.

        Returns:
            ``logits``, ``aux_logits`` (B, C); ``cams``, ``aux_cams`` (B, C, h, w), signed; ``seg_logits`` (B, K, h, w).
        """
        features, aux_features, _ = self._tokens(inputs)
        maps = self.cam_head.class_maps(features, aux_features)
        if image_labels is not None:
            maps = {name: m * image_labels[:, :, None, None].to(m) for name, m in maps.items()}
        return {**self.cam_head(features, aux_features), **maps, 'seg_logits': self.decode_head([features])}

    def predict(self, inputs: Tensor, data_samples: Optional[list] = None) -> list:
        """Segment a batch and, where ``test_cfg.cams`` is set, give its CAMs, all at the images' own sizes.

        Returns:
            Data samples with ``pred_sem_seg``, ``seg_logits`` and, given data samples, ``cams``, ``aux_cams``
            (C, H, W) in [0, 1] and ``cls_logits`` (C,).
        """
        if data_samples is None or not self.test_cfg.get('cams'):
            return super().predict(inputs, data_samples)
        known = self.extract_cams(inputs)
        if self.test_cfg.get('mode', 'whole') == 'whole':
            seg_logits = resize_maps(known['seg_logits'], inputs.shape[-2:])
        else:
            seg_logits = self.inference(inputs, [sample.metainfo for sample in data_samples])
        data_samples = self.postprocess_result(seg_logits, data_samples)
        return self.attach_cams(self.multi_scale_cams(inputs, known=known), data_samples)

    # Training

    def loss(self, inputs: Union[Tensor, dict[str, Tensor]], data_samples: list) -> dict[str, Tensor]:
        """Compute all terms of one iteration (ToCo, Eq. 5).

        Args:
            inputs: ``main``, ``global2`` and ``local``, each (B, 3, S, S). A single tensor is taken as ``main`` and
                allowed as long as the class token contrast weighs 0.
            data_samples: With ``gt_label`` (C,) multi-hot and, in the metainfo, ``valid_box`` [y0, y1, x0, x1] (the
                whole image if absent) and ``sample_seed`` (optional; makes the choice of local views reproducible).

        Returns:
            Weighted terms ``loss_*`` and, of those with a weight other than 1, the bare values ``raw_*``.
        """
        views = inputs if isinstance(inputs, dict) else {'main': inputs}
        images = views['main']
        image_labels = torch.stack([sample.gt_label for sample in data_samples]).to(images)
        iteration = MessageHub.get_current_instance().get_info('iter', 0)
        weights = self.schedule.at(iteration)
        self._update_teacher()

        boxes = valid_boxes(data_samples, images)
        (features, aux_features, tokens), affinity = self._training_pass(images, image_labels, boxes)
        logits = self.cam_head(features, aux_features)
        terms = dict(
            cls=self.loss_cls(logits['logits'], image_labels), aux=self.loss_cls(logits['aux_logits'], image_labels))
        if any(weights[term] for term in ('ptc', 'ctc', 'seg', 'reg')):
            present = present_classes(image_labels)
            labels = image_labels[:, present]
            cams = self._training_cams(images, features, aux_features, present)
            if weights['ptc']:
                terms['ptc'] = self._patch_contrast(features, cams['aux_cams'], labels, boxes)
            if weights['ctc']:
                terms['ctc'] = self._class_contrast(tokens, views, cams['aux_cams'], labels, data_samples)
            if weights['seg'] or weights['reg']:
                final = iteration >= self.train_cfg.get('final_cam_begin', 0)
                source = cams['cams' if final else 'aux_cams'] * labels[:, :, None, None]
                terms.update(self._segmentation(images, features, source, labels, present, boxes, bool(weights['reg'])))
        return {**self._weigh(terms, weights), **affinity}

    def _weigh(self, terms: dict[str, Tensor], weights: dict[str, float]) -> dict[str, Tensor]:
        """Multiply terms by their weights; parameters that no term reached get a gradient of zero."""
        losses = {f'loss_{term}': weights[term] * value for term, value in terms.items()}
        losses.update({f'raw_{term}': value.detach() for term, value in terms.items() if weights[term] != 1})
        if 'ctc' not in terms:
            losses['loss_ctc'] = _zero(self.projector)
        if 'seg' not in terms:
            losses['loss_seg'] = _zero(self.decode_head)
        return losses

    def _training_pass(self, images: Tensor, image_labels: Tensor, boxes: Tensor) -> tuple[tuple, dict[str, Tensor]]:
        """Give what :meth:`_tokens` gives of the main images, and the terms of a re-activation that is at work."""
        if self.reactivation is None or not self.reactivation.active:
            return self._tokens(images), {}
        return self.reactivation(self._tokens_and_map, self.backbone, images, image_labels, boxes)

    def _tokens_and_map(self, backbone: AttentionViT, inputs: Tensor,
                        map_name: Optional[str]) -> tuple[tuple, Optional[Tensor]]:
        """Run another backbone, for the tokens and, if it is named, a map (B, C, h, w)."""
        tokens = self._tokens(inputs, backbone)
        return tokens, None if map_name is None else self.cam_head.class_maps(*tokens[:2])[map_name]

    @torch.no_grad()
    def _training_cams(self, images: Tensor, features: Tensor, aux_features: Tensor, classes: Tensor) -> dict:
        """Give the fused maps (B, n, S, S) in [0, 1] of the classes named, reusing the training pass at scale 1."""
        known = self.cam_head.class_maps(features, aux_features, classes)
        return fuse_normalized(self, images, self.train_cfg['cams'], known, classes)

    def _patch_contrast(self, features: Tensor, aux_cams: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
        """Contrast patch tokens by token labels from the auxiliary CAM (ToCo, Sec. 4.2)."""
        if self.train_cfg.get('ptc_box', 'reference') == 'scaled':
            patch = boxes.new_tensor(self.backbone.patch_size).repeat_interleave(2)
            # Starts are rounded up and ends down: only tokens that lie wholly inside count.
            boxes = (boxes + (patch - 1) * boxes.new_tensor([1, 0, 1, 0])) // patch
        token_labels = cams_to_labels(
            resize_maps(aux_cams, features.shape[-2:]), labels, self.train_cfg['low'], self.train_cfg['high'], boxes)
        return self.loss_ptc(features, token_affinity_labels(token_labels))

    def _class_contrast(self, tokens: ViTTokens, views: dict, aux_cams: Tensor, labels: Tensor,
                        data_samples: list) -> Tensor:
        """Contrast class tokens of two global views with those of local ones (ToCo, Sec. 4.3)."""
        cfg = self.train_cfg
        roi = cams_to_roi(aux_cams, labels, cfg['low'], cfg['high'])
        size = cfg.get('local_crop_size', 96)
        corners, positive = sample_local_windows(
            roi, size, cfg.get('num_local_crops', 8), cfg.get('local_min_foreground', 0.2),
            [sample.metainfo.get('sample_seed') for sample in data_samples])
        crops = crop_windows(views['local'], corners, size)
        local = self.backbone.forward_tokens(crops.flatten(0, 1), class_tokens_only=True).class_tokens[:, 0]
        second = self.backbone.forward_tokens(views['global2'], class_tokens_only=True).class_tokens
        class_tokens = torch.cat([tokens.class_tokens, second, local.unflatten(0, crops.shape[:2])], dim=1)
        with torch.no_grad():
            teacher = self.teacher_projector(class_tokens[:, :2].detach())
        flags = torch.cat([positive.new_ones(len(positive), 2), positive], dim=1)
        return self.loss_ctc(self.projector(class_tokens), teacher, flags)

    def _segmentation(self, images: Tensor, features: Tensor, cams: Tensor, labels: Tensor, present: Tensor,
                      boxes: Tensor, regularize: bool) -> dict[str, Tensor]:
        """Train the decoder on the refined pseudo label and, if asked, regularise its output (ToCo, Sec. 4.4)."""
        rgb = self.data_preprocessor.denormalize(images)
        pseudo = refined_pseudo_labels(self.refiner, quantize_colors(rgb), cams, labels,
                                       self.train_cfg['high'], self.train_cfg['low'], boxes)
        pseudo = _class_ids(present)[pseudo]
        seg_logits = resize_maps(self.decode_head([features]), images.shape[-2:])
        terms = dict(seg=self.decode_head.loss_decode(seg_logits, pseudo))
        if regularize:
            terms['reg'] = self.loss_reg(rgb, seg_logits.softmax(dim=1), _box_masks(boxes, images), pseudo)
        return terms

    @torch.no_grad()
    def _update_teacher(self) -> None:
        """Move the teacher towards the projector as the last optimiser step left it."""
        momentum = self.train_cfg.get('ema_momentum', 0.9)
        for teacher, student in zip(self.teacher_projector.parameters(), self.projector.parameters()):
            teacher.lerp_(student, 1 - momentum)


def _class_ids(present: Tensor) -> Tensor:
    """Table (256,) from labels that count the present classes to labels that count all."""
    table = torch.arange(256, device=present.device)
    table[1:len(present) + 1] = present + 1
    return table


def _box_masks(boxes: Tensor, images: Tensor) -> Tensor:
    """Masks (B, H, W) float of the valid regions."""
    return mask_outside_boxes(images.new_ones(images[:, 0].shape), boxes, 0)


def _zero(params: Union[nn.Module, nn.Parameter]) -> Tensor:
    """A zero that gives gradients of zero to all trainable parameters."""
    params = params.parameters() if isinstance(params, nn.Module) else [params]
    return sum(param.sum() for param in params if param.requires_grad) * 0.
