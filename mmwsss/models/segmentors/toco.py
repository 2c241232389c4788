"""ToCo: token contrast for weakly supervised semantic segmentation (CVPR 2023), one stage from tags to masks."""

from collections.abc import Mapping, Sequence
from typing import Union

import torch
from mmseg.utils import ConfigType, OptConfigType, SampleList
from torch import Tensor, nn

from mmwsss.registry import MODELS

from ..auxiliaries import TrainingBatch
from ..backbones.features import Features, Request, extract_features
from ..utils import (
    cams_to_roi,
    crop_windows,
    mask_outside_boxes,
    present_classes,
    resize_maps,
    sample_local_windows,
)
from .settings import TOCO_TEST, TOCO_TRAIN
from .single_stage import LossSchedule, SingleStage

__all__ = ['LossSchedule', 'ToCo']


@MODELS.register_module()
class ToCo(SingleStage):
    """One-stage WSSS with patch token contrast and class token contrast.

    In training a batch has the views ``main`` (global view 1, also the image that is segmented), ``global2`` and
    ``local`` (where local views are cut from). Every image passes the encoder once: the class maps at scale 1 come
    from the training pass, the teacher sees the student's detached class tokens, and the decoder runs for ``main``
    only. A term that weighs 0 is not computed; its parameters get gradients of zero, so that the optimizer counts
    their steps and decays them as if it had been.

    Args:
        cam_head: :class:`ToCoHead`, or another :class:`BaseCAMHead` with two maps that serve: ``train_cfg.aux_map`` for
            the contrasts, and ``cams``.
        projector: :class:`ProjectionHead`; its exponential moving average is the teacher.
        label_cfg: ``steps`` and ``labeler`` of the :class:`LabelPipeline` that makes the pseudo labels of the decoder.
            A ``ConstantBackground`` without scores gets ``low`` and ``high`` of ``train_cfg``.
        loss_ptc: :class:`PatchTokenContrastLoss`.
        loss_ctc: :class:`ClassTokenContrastLoss`.
        loss_reg: :class:`DenseEnergyLoss`.
        loss_cls: Loss of each score of the head against the image labels.
        auxiliary: Parts that train along, such as :class:`AffinityReactivation`: a list of configs, or a dict of them
            by name; not part of ToCo.
        train_cfg: ``low``, ``high`` thresholds; ``cams`` as in ``test_cfg``; ``loss_weights`` over cls, aux, ptc, ctc,
            seg, reg, and such as patch where the head has ``patch_logits`` (1 unless given); ``phases`` (see
            :class:`LossSchedule`); ``aux_map``, the head's map that serves the contrasts, ``'aux_cams'`` unless given;
            ``final_cam_begin``: iteration from which ``cams`` instead of the auxiliary map makes the pseudo label;
            ``ema_momentum`` of the teacher; ``accumulative_counts``, 1 unless given: that of ``optim_wrapper``, because
            the teacher moves once for each update of the optimizer; ``num_local_crops``, ``local_crop_size``,
            ``local_min_foreground``; ``no_grad_dtype``: ``'bfloat16'`` or ``'float16'`` for the matrix products of the
            passes without gradient, which make the class maps of the other scales and of mirror images, or None, as
            published, unless given; ``ptc_box``: ``'reference'`` applies the valid region in pixels to the token grid,
            as the published numbers did, ``'scaled'`` divides it by the patch size. Without
            ``train_cfg``, the model only predicts.
        **kwargs: As in mmseg's ``EncoderDecoder``; ``decode_head.loss_decode`` is the segmentation loss.

    Raises:
        UserError: ``train_cfg`` or ``test_cfg`` has an unknown key or a wrong value, or lacks a setting.
    """

    train_settings = TOCO_TRAIN
    test_settings = TOCO_TEST

    def __init__(self, backbone: ConfigType, decode_head: ConfigType, cam_head: ConfigType, projector: ConfigType,
                 loss_ptc: ConfigType, loss_ctc: ConfigType, loss_reg: ConfigType, train_cfg: OptConfigType = None,
                 label_cfg: OptConfigType = None, loss_cls: OptConfigType = None,
                 auxiliary: Union[Sequence[dict], Mapping[str, dict], None] = None, **kwargs) -> None:
        super().__init__(backbone, decode_head, cam_head, loss_ptc, train_cfg=train_cfg, label_cfg=label_cfg,
                         loss_cls=loss_cls, auxiliary=auxiliary, **kwargs)
        self.projector = MODELS.build(projector)
        self.teacher_projector = MODELS.build(projector).requires_grad_(False)
        self.teacher_projector.load_state_dict(self.projector.state_dict())
        self.loss_ctc = MODELS.build(loss_ctc)
        self.loss_reg = MODELS.build(loss_reg)

    def init_weights(self) -> None:
        """Initialize all parts; the teacher starts as a copy of the projector."""
        super().init_weights()
        self.teacher_projector.load_state_dict(self.projector.state_dict())

    # Training

    def loss(self, inputs: Union[Tensor, dict[str, Tensor]], data_samples: SampleList) -> dict[str, Tensor]:
        """Compute all terms of one iteration (ToCo, Eq. 5).

        Args:
            inputs: ``main``, ``global2`` and ``local``, each (B, 3, S, S). A single tensor is taken as ``main`` and
                allowed as long as the class token contrast weighs 0.
            data_samples: With ``gt_label`` (C,) multi-hot and, in the metainfo, ``valid_box`` [y0, y1, x0, x1] (the
                whole image if absent) and ``sample_seed`` (optional; makes the choice of local views reproducible).

        Returns:
            Weighted terms ``loss_*`` and, of those with a weight other than 1, the bare values ``raw_*``.

        Raises:
            ValueError: If the model was built without ``train_cfg``.
        """
        views, batch, iteration, weights = self._begin_iteration(inputs, data_samples)
        images, image_labels = batch.images, batch.image_labels
        if iteration % self.train_cfg.get('accumulative_counts', 1) == 0:  # the optimizer has moved the projector
            self._update_teacher()

        present = present_classes(image_labels)
        needs_maps = any(weights[term] for term in ('ptc', 'ctc', 'seg', 'reg'))
        auxiliary = self.auxiliary.begin(self, batch)
        features = extract_features(self.backbone, images, auxiliary.request(self._training_request(
            present if needs_maps else None)))
        terms = self.classification_losses(self.cam_head(features), image_labels)
        if needs_maps:
            labels = image_labels[:, present]
            cams = self._training_cams(images, features, present)
            if weights['ptc']:
                terms['ptc'] = self._patch_contrast(features, cams[self.aux_map], labels, batch.boxes)
            if weights['ctc']:
                terms['ctc'] = self._class_contrast(features, views, cams[self.aux_map], labels, data_samples)
            if weights['seg'] or weights['reg']:
                final = iteration >= self.train_cfg.get('final_cam_begin', 0)
                source = cams['cams' if final else self.aux_map]
                terms.update(self._segmentation(batch, features, source, present, bool(weights['reg'])))
        return {**self._weigh(terms, weights), **auxiliary.losses(features)}

    def _weigh(self, terms: dict[str, Tensor], weights: dict[str, float]) -> dict[str, Tensor]:
        """As in the base class; parameters that no term reached get a gradient of zero."""
        losses = super()._weigh(terms, weights)
        if 'ctc' not in terms:
            losses['loss_ctc'] = _zero(self.projector)
        if 'seg' not in terms:
            losses['loss_seg'] = _zero(self.decode_head)
        return losses

    def _class_contrast(self, features: Features, views: dict, aux_cams: Tensor, labels: Tensor,
                        data_samples: SampleList) -> Tensor:
        """Contrast class tokens of two global views with those of local ones (ToCo, Sec. 4.3)."""
        cfg = self.train_cfg
        roi = cams_to_roi(aux_cams, labels, cfg['low'], cfg['high'])
        size = cfg.get('local_crop_size', 96)
        corners, positive = sample_local_windows(
            roi, size, cfg.get('num_local_crops', 8), cfg.get('local_min_foreground', 0.2),
            [sample.metainfo.get('sample_seed') for sample in data_samples])
        crops = crop_windows(views['local'], corners, size)
        local = self._class_token(extract_features(self.backbone, crops.flatten(0, 1), Request(maps=False)))
        local = local.view(*crops.shape[:2], -1)
        second = self._class_token(extract_features(self.backbone, views['global2'], Request(maps=False)))
        class_tokens = torch.cat([self._class_token(features), second, local], dim=1)
        with torch.no_grad():
            teacher = self.teacher_projector(class_tokens[:, :2].detach())
        flags = torch.cat([positive.new_ones(len(positive), 2), positive], dim=1)
        return self.loss_ctc(self.projector(class_tokens), teacher, flags)

    @staticmethod
    def _class_token(features: Features) -> Tensor:
        """Return the class token (B, 1, D): where there is one for every class, their mean."""
        return features.class_tokens.mean(dim=1, keepdim=True)

    def _segmentation(self, batch: TrainingBatch, features: Features, cams: Tensor, present: Tensor,
                      regularize: bool) -> dict[str, Tensor]:
        """Train the decoder on the refined pseudo label and, if asked, regularize its output (ToCo, Sec. 4.4)."""
        images, boxes = batch.images, batch.boxes
        pseudo = self._pseudo_labels(batch, cams, present)
        seg_logits = resize_maps(self.decode_head(features.maps), images.shape[-2:])
        terms = dict(seg=self.decode_head.loss_decode(seg_logits, pseudo))
        if regularize:
            rgb = self.data_preprocessor.denormalize(images)
            terms['reg'] = self.loss_reg(rgb, seg_logits.softmax(dim=1), _box_masks(boxes, images), pseudo)
        return terms

    @torch.no_grad()
    def _update_teacher(self) -> None:
        """Move the teacher towards the projector as the last optimizer step left it."""
        momentum = self.train_cfg.get('ema_momentum', 0.9)
        for teacher, student in zip(self.teacher_projector.parameters(), self.projector.parameters()):
            teacher.lerp_(student, 1 - momentum)


def _box_masks(boxes: Tensor, images: Tensor) -> Tensor:
    """Masks (B, H, W) float of the valid regions."""
    return mask_outside_boxes(images.new_ones(images[:, 0].shape), boxes, 0)


def _zero(module: nn.Module) -> Tensor:
    """Return a zero that gives gradients of zero to all trainable parameters."""
    return sum(param.sum() for param in module.parameters() if param.requires_grad) * 0.
