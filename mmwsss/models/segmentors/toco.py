"""ToCo: token contrast for weakly supervised semantic segmentation (CVPR 2023), one stage from tags to masks."""

from collections.abc import Mapping, Sequence
from typing import Optional, Union

import torch
from mmengine.logging import MessageHub
from mmseg.models import EncoderDecoder
from mmseg.utils import ConfigType, OptConfigType, OptSampleList, SampleList
from torch import Tensor, nn

from mmwsss.registry import MODELS
from mmwsss.utils import refuse_old_keys

from ..auxiliaries import Auxiliaries, TrainingBatch
from ..backbones.features import Features, Request, extract_features
from ..label_steps import LabelBatch, LabelPipeline, with_thresholds
from ..utils import (
    cams_to_labels,
    cams_to_roi,
    crop_windows,
    lower_precision,
    mask_outside_boxes,
    present_classes,
    quantize_colors,
    resize_maps,
    sample_local_windows,
    token_affinity_labels,
    valid_boxes,
    without_padding,
)
from .cam_mixin import CAMMixin
from .settings import TOCO_TEST, TOCO_TRAIN, check_settings

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
        """Return the weight of every term at a 0-based iteration."""
        phase = [p for p in self.phases if p['begin'] <= iteration][-1]
        return {term: 0. if term in phase.get('off', ()) else w for term, w in self.weights.items()}


@MODELS.register_module()
class ToCo(CAMMixin, EncoderDecoder):
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
        refuse_old_keys('ToCo', kwargs, {
            'reactivation': "auxiliary=[dict(type='AffinityReactivation', ...)]",
            'refiner': "label_cfg=dict(steps=[..., dict(type='PixelAdaptiveRefinement')], ...)"})
        check_settings(self, train_cfg, kwargs.get('test_cfg'))
        super().__init__(backbone, decode_head, train_cfg=train_cfg, **kwargs)
        self.cam_head = MODELS.build(cam_head)
        self.projector = MODELS.build(projector)
        self.teacher_projector = MODELS.build(projector).requires_grad_(False)
        self.teacher_projector.load_state_dict(self.projector.state_dict())
        self.loss_ptc = MODELS.build(loss_ptc)
        self.loss_ctc = MODELS.build(loss_ctc)
        self.loss_reg = MODELS.build(loss_reg)
        self.loss_cls = MODELS.build(loss_cls or dict(type='MultiLabelSoftMarginLoss'))
        self.auxiliary = Auxiliaries(auxiliary)
        self.aux_map = (train_cfg or {}).get('aux_map', 'aux_cams')
        if train_cfg:
            self._prepare_training(label_cfg, train_cfg)
        known = self.cam_head.map_names
        self.map_names = tuple(dict.fromkeys(name for name in ('cams', self.aux_map) if name in known))

    def _prepare_training(self, label_cfg: OptConfigType, train_cfg: ConfigType) -> None:
        """Check the settings of training and build what only training uses.

        Raises:
            ValueError: If ``ptc_box`` is unknown, or the head has no map of the name ``aux_map``.
        """
        if train_cfg.get('ptc_box', 'reference') not in ('reference', 'scaled'):
            raise ValueError(f"train_cfg.ptc_box must be 'reference' or 'scaled', got {train_cfg['ptc_box']!r}")
        if self.aux_map not in self.cam_head.map_names:
            raise ValueError(f'train_cfg.aux_map must name one of the maps of {type(self.cam_head).__name__}, '
                             f'{", ".join(self.cam_head.map_names)}, got {self.aux_map!r}')
        self.label_pipeline = LabelPipeline(**with_thresholds(label_cfg, train_cfg['low'], train_cfg['high']))
        self.schedule = LossSchedule(train_cfg['loss_weights'], train_cfg['phases'])

    def init_weights(self) -> None:
        """Initialize all parts; the teacher starts as a copy of the projector."""
        super().init_weights()
        self.teacher_projector.load_state_dict(self.projector.state_dict())

    # Inference

    def _scores_and_maps(self, inputs: Tensor, names: Sequence[str], classes: Optional[Tensor] = None,
                         scores: bool = True) -> dict[str, Tensor]:
        """As in the base class; ``seg_logits`` (B, K, h, w) are among the scores."""
        head = self.cam_head
        # The decoder needs feature maps whether or not the head does.
        features = extract_features(self.backbone, inputs, head.request(names, classes) + Request(maps=scores))
        maps = head.maps(features, names, classes)
        return {**head(features), **maps, 'seg_logits': self.decode_head(features.maps)} if scores else maps

    def predict(self, inputs: Tensor, data_samples: OptSampleList = None) -> SampleList:
        """Segment a batch and, where ``test_cfg.cams`` is set, predict its CAMs, all at the images' own sizes.

        Returns:
            Data samples with ``pred_sem_seg``, ``seg_logits`` and, given data samples, ``cams`` and the auxiliary map,
            (C, H, W) in [0, 1], and ``cls_logits`` (C,).
        """
        whole = self.test_cfg.get('mode', 'whole') == 'whole'
        names = self.map_names if self.test_cfg.get('cams') else ()
        if data_samples is None or not (whole or names):
            return super().predict(inputs, data_samples)
        own_view = self._scores_and_maps(inputs, names)
        data_samples = self._segmented(own_view, inputs, data_samples)
        return self.attach_cams(self.predict_cams(inputs, own_view=own_view), data_samples) if names else data_samples

    @torch.no_grad()
    def segment(self, inputs: Tensor, data_samples: list) -> list:
        """Segment a batch in one pass, without CAMs.

        Returns:
            Data samples with ``pred_sem_seg``, ``seg_logits`` and ``cls_logits`` (C,).
        """
        scores = self._scores_and_maps(inputs, ())
        data_samples = self._segmented(scores, inputs, data_samples)
        for sample, logits in zip(data_samples, scores['logits']):
            sample.set_field(logits, 'cls_logits')
        return data_samples

    def _segmented(self, own_view: dict[str, Tensor], inputs: Tensor, data_samples: list) -> list:
        """Add the segmentation at the images' own sizes to data samples."""
        metas = [sample.metainfo for sample in data_samples]
        if self.test_cfg.get('mode', 'whole') != 'whole':
            seg_logits = self.inference(inputs, metas)
        elif any(without_padding(inputs, meta).shape != inputs.shape for meta in metas):
            seg_logits = resize_maps(own_view['seg_logits'], inputs.shape[-2:])
        else:
            seg_logits = own_view['seg_logits']  # enlarged once, to the images' own sizes
        return self.postprocess_result(seg_logits, data_samples)

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
        if not self.train_cfg:
            raise ValueError('ToCo was built without train_cfg, for inference only: to train it, set train_cfg as '
                             'configs/_base_/models/toco_vit-b.py does')
        views = inputs if isinstance(inputs, dict) else {'main': inputs}
        images = views['main']
        image_labels = torch.stack([sample.gt_label for sample in data_samples]).to(images)
        iteration = MessageHub.get_current_instance().get_info('iter', 0)
        weights = self.schedule.at(iteration)
        if iteration % self.train_cfg.get('accumulative_counts', 1) == 0:  # the optimizer has moved the projector
            self._update_teacher()

        batch = TrainingBatch(images, image_labels, valid_boxes(data_samples, images))
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
                source = cams['cams' if final else self.aux_map] * labels[:, :, None, None]
                terms.update(self._segmentation(batch, features, source, present, bool(weights['reg'])))
        return {**self._weigh(terms, weights), **auxiliary.losses(features)}

    def _training_request(self, present: Optional[Tensor]) -> Request:
        """Request what the scores need and, unless ``present`` is None, class maps of these and feature maps."""
        request = self.cam_head.request()
        if present is None:
            return request
        return request + self.cam_head.request(self.map_names, present) + Request()

    def _weigh(self, terms: dict[str, Tensor], weights: dict[str, float]) -> dict[str, Tensor]:
        """Multiply terms by their weights; parameters that no term reached get a gradient of zero."""
        losses = {f'loss_{term}': weights.get(term, 1.) * value for term, value in terms.items()}
        losses.update({f'raw_{term}': value.detach() for term, value in terms.items() if weights.get(term, 1.) != 1})
        if 'ctc' not in terms:
            losses['loss_ctc'] = _zero(self.projector)
        if 'seg' not in terms:
            losses['loss_seg'] = _zero(self.decode_head)
        return losses

    @torch.no_grad()
    def _training_cams(self, images: Tensor, features: Features, classes: Tensor) -> dict[str, Tensor]:
        """Compute the fused maps (B, n, S, S) in [0, 1] of the classes named, reusing the training pass at scale 1."""

        def map_fn(views: Tensor) -> dict[str, Tensor]:
            maps = self._scores_and_maps(views, self.map_names, classes, scores=False)
            return {name: value.to(images) for name, value in maps.items()}

        own_maps = self.cam_head.maps(features, self.map_names, classes)
        # One context for all views, so that the weights are converted once.
        with lower_precision(images.device, self.train_cfg.get('no_grad_dtype')):
            return self._fuse(map_fn, images, self.train_cfg['cams'], own_maps)

    def _patch_contrast(self, features: Features, aux_cams: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
        """Contrast patch tokens by token labels from the auxiliary CAM (ToCo, Sec. 4.2)."""
        if self.train_cfg.get('ptc_box', 'reference') == 'scaled':
            patch = boxes.new_tensor(self.backbone.patch_size).repeat_interleave(2)
            # Starts are rounded up and ends down: only tokens that lie wholly inside count.
            boxes = (boxes + (patch - 1) * boxes.new_tensor([1, 0, 1, 0])) // patch
        token_labels = cams_to_labels(
            resize_maps(aux_cams, features.grid), labels, self.train_cfg['low'], self.train_cfg['high'], boxes)
        return self.loss_ptc(features.maps[-1], token_affinity_labels(token_labels))

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
        rgb = self.data_preprocessor.denormalize(images)
        pseudo = self.label_pipeline(LabelBatch.from_cams(
            quantize_colors(rgb), cams, batch.image_labels[:, present], boxes, present, inputs=images,
            num_classes=self.cam_head.num_classes))
        seg_logits = resize_maps(self.decode_head(features.maps), images.shape[-2:])
        terms = dict(seg=self.decode_head.loss_decode(seg_logits, pseudo))
        if regularize:
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
