"""What models have in common that train class maps and a segmentation decoder in the same iteration."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Optional, Union

import torch
from mmengine.logging import MessageHub
from mmseg.models import EncoderDecoder
from mmseg.utils import ConfigType, OptConfigType, OptSampleList, SampleList
from torch import Tensor

from mmwsss.registry import MODELS
from mmwsss.utils import refuse_old_keys

from ..auxiliaries import Auxiliaries, TrainingBatch
from ..backbones.features import Features, Request, extract_features
from ..label_steps import LabelBatch, LabelPipeline, with_thresholds
from ..utils import (
    cams_to_labels,
    lower_precision,
    quantize_colors,
    resize_maps,
    token_affinity_labels,
    valid_boxes,
    without_padding,
)
from .cam_mixin import CAMMixin
from .settings import check_settings

__all__ = ['LossSchedule', 'SingleStage']


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


class SingleStage(CAMMixin, EncoderDecoder):
    """Base class of models that train class maps and a decoder of pseudo labels in one stage, such as :class:`ToCo`.

    It holds the parts, predicts, and computes what the iterations of these methods share. A subclass implements
    ``loss``, and states in ``train_settings`` and ``test_settings`` what its settings may be.

    Args:
        backbone: Config of the backbone.
        decode_head: Config of the decoder; its ``loss_decode`` is the segmentation loss.
        cam_head: :class:`ToCoHead`, or another :class:`BaseCAMHead` with the maps ``cams`` and ``train_cfg.aux_map``.
        loss_ptc: Loss of the patch tokens, :class:`PatchTokenContrastLoss`.
        train_cfg: ``cams``, ``low``, ``high``, ``ptc_box``, ``aux_map``, ``loss_weights`` and ``phases``, as in
            :class:`ToCo`. Without ``train_cfg``, the model only predicts.
        label_cfg: ``steps`` and ``labeler`` of the :class:`LabelPipeline` that makes the pseudo labels of the decoder.
        loss_cls: Loss of each score of the head against the image labels.
        auxiliary: Parts that train along: a list of configs, or a dict of them by name.
        **kwargs: As in mmseg's ``EncoderDecoder``.

    Attributes:
        label_inputs: What a batch has before the first label step; see :class:`LabelPipeline`.

    Raises:
        UserError: ``train_cfg`` or ``test_cfg`` has an unknown key or a wrong value, or lacks a setting.
        ValueError: ``ptc_box`` is unknown, or the head has no map of the name ``aux_map``.
    """

    label_inputs: ClassVar[tuple[str, ...]] = ('inputs', 'affinity')

    def __init__(self, backbone: ConfigType, decode_head: ConfigType, cam_head: ConfigType, loss_ptc: ConfigType,
                 train_cfg: OptConfigType = None, label_cfg: OptConfigType = None, loss_cls: OptConfigType = None,
                 auxiliary: Union[Sequence[dict], Mapping[str, dict], None] = None, **kwargs) -> None:
        refuse_old_keys(type(self).__name__, kwargs, {
            'reactivation': "auxiliary=[dict(type='AffinityReactivation', ...)]",
            'refiner': "label_cfg=dict(steps=[..., dict(type='PixelAdaptiveRefinement')], ...)"})
        check_settings(self, train_cfg, kwargs.get('test_cfg'))
        super().__init__(backbone, decode_head, train_cfg=train_cfg, **kwargs)
        self.cam_head = MODELS.build(cam_head)
        self.loss_ptc = MODELS.build(loss_ptc)
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
        parts = with_thresholds(label_cfg, train_cfg['low'], train_cfg['high'])
        self.label_pipeline = LabelPipeline(**parts, given=self.label_inputs)
        self.schedule = LossSchedule(train_cfg['loss_weights'], train_cfg['phases'])

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

    # Parts of an iteration of training

    def _begin_iteration(self, inputs: Union[Tensor, dict],
                         data_samples: SampleList) -> tuple[dict[str, Tensor], TrainingBatch, int, dict[str, float]]:
        """Return the views, the batch of the view ``main``, the 0-based iteration, and the weight of each term in it.

        Raises:
            ValueError: The model was built without ``train_cfg``.
        """
        if not self.train_cfg:
            name = type(self).__name__
            raise ValueError(f'{name} was built without train_cfg, for inference only: to train it, set train_cfg as '
                             f'configs/_base_/models/{name.lower()}_vit-b.py does')
        views = inputs if isinstance(inputs, dict) else {'main': inputs}
        images = views['main']
        image_labels = torch.stack([sample.gt_label for sample in data_samples]).to(images)
        iteration = MessageHub.get_current_instance().get_info('iter', 0)
        batch = TrainingBatch(images, image_labels, valid_boxes(data_samples, images))
        return views, batch, iteration, self.schedule.at(iteration)

    def _training_request(self, present: Optional[Tensor]) -> Request:
        """Request what the scores need and, unless ``present`` is None, class maps of these and feature maps."""
        request = self.cam_head.request()
        if present is None:
            return request
        return request + self.cam_head.request(self.map_names, present) + Request()

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

    def _patch_contrast(self, features: Features, aux_cams: Tensor, labels: Tensor, boxes: Tensor,
                        high: Union[float, Tensor, None] = None) -> Tensor:
        """Contrast patch tokens by token labels from the auxiliary CAM (ToCo, Sec. 4.2).

        ``high``, a number or one for each image (B,), takes the place of that of ``train_cfg``.
        """
        if self.train_cfg.get('ptc_box', 'reference') == 'scaled':
            patch = boxes.new_tensor(self.backbone.patch_size).repeat_interleave(2)
            # Starts are rounded up and ends down: only tokens that lie wholly inside count.
            boxes = (boxes + (patch - 1) * boxes.new_tensor([1, 0, 1, 0])) // patch
        token_labels = cams_to_labels(
            resize_maps(aux_cams, features.grid), labels, self.train_cfg['low'],
            self.train_cfg['high'] if high is None else high, boxes)
        return self.loss_ptc(features.maps[-1], token_affinity_labels(token_labels))

    def _pseudo_labels(self, batch: TrainingBatch, cams: Tensor, present: Tensor, **others: Tensor) -> Tensor:
        """Make the pseudo labels (B, S, S) of the decoder.

        Args:
            batch: The images.
            cams: (B, n, S, S) fused maps of the classes ``present``.
            present: (n,) classes of the batch.
            **others: Further attributes of the :class:`LabelBatch`.
        """
        labels = batch.image_labels[:, present]
        return self.label_pipeline(LabelBatch.from_cams(
            quantize_colors(self.data_preprocessor.denormalize(batch.images)), cams * labels[:, :, None, None], labels,
            batch.boxes, present, inputs=batch.images, num_classes=self.cam_head.num_classes, **others))

    def _weigh(self, terms: dict[str, Tensor], weights: dict[str, float]) -> dict[str, Tensor]:
        """Multiply terms by their weights, and keep the bare values of those with a weight other than 1."""
        losses = {f'loss_{term}': weights.get(term, 1.) * value for term, value in terms.items()}
        losses.update({f'raw_{term}': value.detach() for term, value in terms.items() if weights.get(term, 1.) != 1})
        return losses
