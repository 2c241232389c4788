"""DuPL: two students that train each other, one stage from tags to masks (CVPR 2024)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Optional, Union

import torch
from mmseg.utils import ConfigType, OptConfigType, OptSampleList, SampleList
from torch import Tensor

from mmwsss.registry import MODELS

from ..auxiliaries import TrainingBatch
from ..auxiliaries.base import AuxiliaryPass
from ..backbones.features import Features, Request, extract_features
from ..utils import present_classes, resize_maps
from .settings import DUPL_TEST, DUPL_TRAIN
from .single_stage import SingleStage

__all__ = ['DuPL', 'falling_threshold']


def falling_threshold(iteration: int, high: float, final: float, begin: int, end: int) -> float:
    """Return a threshold that falls along half a cosine.

    Args:
        iteration: The current iteration, counted from 0.
        high: The threshold up to the iteration ``begin``.
        final: The threshold from the iteration ``end - 1``, which is the last one of a training of ``end`` iterations.
        begin: Iteration after which it falls.
        end: Number of iterations.
    """
    progress = min(max((iteration - begin) / max(end - begin - 1, 1), 0.), 1.)
    return high + (final - high) * (1 - math.cos(math.pi * progress)) / 2


class _StudentPass(NamedTuple):
    """What one student computed of a batch; without maps, ``cams`` is empty."""

    student: 'DuPLStudent'
    features: Features
    auxiliary: AuxiliaryPass
    cams: dict[str, Tensor]


class DuPLStudent(SingleStage):
    """One of the two networks of :class:`DuPL`."""

    train_settings = DUPL_TRAIN
    test_settings = DUPL_TEST
    label_inputs = (*SingleStage.label_inputs, 'thresholds')

    def run(self, batch: TrainingBatch, present: Optional[Tensor]) -> _StudentPass:
        """Run the training pass and, unless ``present`` is None, fuse the maps of these classes."""
        auxiliary = self.auxiliary.begin(self, batch)
        features = extract_features(self.backbone, batch.images, auxiliary.request(self._training_request(present)))
        cams = {} if present is None else self._training_cams(batch.images, features, present)
        return _StudentPass(self, features, auxiliary, cams)

    def decode(self, features: Features, size: Sequence[int]) -> Tensor:
        """Return the logits (B, K, H, W) of the decoder."""
        return resize_maps(self.decode_head(features.maps), size)

    def decode_mirrored(self, images: Tensor, scale: float) -> Tensor:
        """Segment the mirror images at another scale, and return the logits (B, K, H, W) at the images' positions."""
        size = images.shape[-2:]
        mirrored = resize_maps(images.flip(-1), [int(scale * side) for side in size])
        return self.decode(extract_features(self.backbone, mirrored, Request()), size).flip(-1)


@MODELS.register_module()
class DuPL(DuPLStudent):
    """Dual student with trustworthy progressive learning (CVPR 2024): each student learns from the other's labels.

    Both students have the parts of :class:`ToCo` without its class token contrast and its projector. The first one is
    the model's ``backbone``, ``cam_head`` and ``decode_head``; :attr:`second` has the same. In an iteration, each makes
    class maps and, from these, pseudo labels. The terms of the loss, each summed over the students, are

    * ``cls``, ``aux``: classification, and ``ptc``: patch token contrast, as in ToCo;
    * ``dis``: the features of the two must differ, so that their maps do not share their errors;
    * ``seg``: the decoder of each learns from the pseudo labels of the other, after the noise filter;
    * ``reg``: where the other gives no label, the decoder's confident prediction is the target of a perturbed view.

    The high threshold falls during training, so that more pixels get a label. A term that weighs 0 is not computed.
    Until ``seg`` begins, no gradient reaches the decoders, and the optimizer leaves them alone: distributed training
    needs ``find_unused_parameters=True``.

    Args:
        backbone: Of each student, as are ``decode_head``, ``cam_head`` and ``auxiliary``.
        decode_head: See :class:`SingleStage`.
        cam_head: See :class:`SingleStage`.
        loss_ptc: :class:`PatchTokenContrastLoss`.
        loss_dis: :class:`FeatureDiscrepancyLoss`.
        loss_reg: :class:`ConfidentConsistencyLoss`.
        noise_filter: :class:`LossNoiseFilter`.
        label_cfg: As in :class:`ToCo`; :class:`ImageBackground` sets the low and the high background of each image.
        train_cfg: As in :class:`ToCo`: ``cams``, ``low``, ``high``, ``phases``, ``aux_map``, ``final_cam_begin``,
            ``ptc_box``, and ``loss_weights`` over cls, aux, ptc, dis, seg, reg. Further: ``final_high``, to which the
            high threshold of a class falls, except for the classes whose indices ``high_kept`` lists; an image takes
            the largest threshold of its classes; ``high_decay``, ``begin`` and ``end`` of :func:`falling_threshold`;
            ``noise_filter_begin``, the first iteration of the noise filter, 0 unless given; ``perturbed_scale``, at
            which the perturbed view is segmented, 1 unless given.
        loss_cls: Loss of each score of the heads against the image labels.
        auxiliary: See :class:`SingleStage`; its losses are summed over the students.
        **kwargs: As in mmseg's ``EncoderDecoder``. ``student`` of ``test_cfg`` says which one predicts in evaluation
            mode: ``'first'``, which is the default, or ``'second'``.

    Raises:
        UserError: ``train_cfg`` or ``test_cfg`` has an unknown key or a wrong value, or lacks a setting.
        ValueError: ``high_kept`` has an index that is no class.
    """

    def __init__(self, backbone: ConfigType, decode_head: ConfigType, cam_head: ConfigType, loss_ptc: ConfigType,
                 loss_dis: ConfigType, loss_reg: ConfigType, noise_filter: ConfigType,
                 train_cfg: OptConfigType = None, label_cfg: OptConfigType = None, loss_cls: OptConfigType = None,
                 auxiliary: Union[Sequence[dict], Mapping[str, dict], None] = None, **kwargs) -> None:
        shared = dict(train_cfg=train_cfg, label_cfg=label_cfg, loss_cls=loss_cls, auxiliary=auxiliary)
        super().__init__(backbone, decode_head, cam_head, loss_ptc, **shared, **kwargs)
        self.second = DuPLStudent(backbone, decode_head, cam_head, loss_ptc, **shared,
                                  test_cfg=kwargs.get('test_cfg'))
        self.loss_dis = MODELS.build(loss_dis)
        self.loss_reg = MODELS.build(loss_reg)
        self.noise_filter = MODELS.build(noise_filter)
        unknown = [index for index in (train_cfg or {}).get('high_kept', ()) if index >= self.cam_head.num_classes]
        if unknown:
            raise ValueError(f'train_cfg.high_kept names the classes {unknown}, but there are only '
                             f'{self.cam_head.num_classes}, counted from 0: for other data than those of the config, '
                             'set model.train_cfg.high_kept=[]')

    # Inference

    @property
    def tested(self) -> DuPLStudent:
        """The student that predicts."""
        return self.second if self.test_cfg.get('student') == 'second' else self

    def _scores_and_maps(self, inputs: Tensor, names: Sequence[str], classes: Optional[Tensor] = None,
                         scores: bool = True) -> dict[str, Tensor]:
        """As in the base class, of the student that is tested; in training mode, of the first one."""
        student = self if self.training else self.tested
        return DuPLStudent._scores_and_maps(student, inputs, names, classes, scores)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list) -> Tensor:
        """As in mmseg, by the student that is tested."""
        return DuPLStudent.encode_decode(self.tested, inputs, batch_img_metas)

    def _forward(self, inputs: Tensor, data_samples: OptSampleList = None) -> Tensor:
        """As in mmseg, by the student that is tested."""
        return DuPLStudent._forward(self.tested, inputs, data_samples)

    # Training

    def loss(self, inputs: Union[Tensor, dict[str, Tensor]], data_samples: SampleList) -> dict[str, Tensor]:
        """Compute all terms of one iteration.

        Args:
            inputs: ``main`` and ``perturbed``, each (B, 3, S, S), which show the same pixels in other colors. A single
                tensor is taken as ``main`` and allowed as long as the consistency weighs 0.
            data_samples: With ``gt_label`` (C,) multi-hot and, in the metainfo, ``valid_box`` [y0, y1, x0, x1] (the
                whole image if absent).

        Returns:
            Weighted terms ``loss_*`` and, of those with a weight other than 1, the bare values ``raw_*``.

        Raises:
            ValueError: The model was built without ``train_cfg``, or a view is missing.
        """
        views, batch, iteration, weights = self._begin_iteration(inputs, data_samples)
        image_labels = batch.image_labels
        needs_maps = any(weights[term] for term in ('ptc', 'seg', 'reg'))
        present = present_classes(image_labels) if needs_maps else None
        passes = [student.run(batch, present) for student in (self, self.second)]

        terms = _summed(each.student.classification_losses(each.student.cam_head(each.features), image_labels)
                        for each in passes)
        high = self._high_thresholds(image_labels, iteration)
        if weights['ptc']:
            terms['ptc'] = sum(
                each.student._patch_contrast(each.features, each.cams[self.aux_map], image_labels[:, present],
                                             batch.boxes, high) for each in passes)
        if weights['dis']:
            terms['dis'] = self.loss_dis(*(each.features.maps[-1] for each in passes))
        if weights['seg'] or weights['reg']:
            perturbed = self._perturbed(views) if weights['reg'] else None
            terms.update(self._segmentation(batch, passes, present, high, iteration, perturbed))
        return {**self._weigh(terms, weights), **_summed(each.auxiliary.losses(each.features) for each in passes)}

    def _high_thresholds(self, image_labels: Tensor, iteration: int) -> Tensor:
        """Return the high threshold (B,) of each image, the largest of those of its classes (B, C)."""
        cfg = self.train_cfg
        high, final = cfg['high'], cfg.get('final_high', cfg['high'])
        begin, end = cfg.get('high_decay', (0, 1))
        by_class = image_labels.new_full(image_labels.shape[1:], falling_threshold(iteration, high, final, begin, end))
        by_class[list(cfg.get('high_kept', ()))] = high
        found = (by_class * (image_labels > 0)).amax(dim=1)
        return found.masked_fill(~image_labels.any(dim=1), high)

    @staticmethod
    def _perturbed(views: dict[str, Tensor]) -> Tensor:
        """Return the view ``perturbed``.

        Raises:
            ValueError: There is none.
        """
        if 'perturbed' not in views:
            raise ValueError("the consistency of DuPL needs a view 'perturbed': add AddViews(perturbed=[...]) to the "
                             'training pipeline, as configs/_base_/pipelines/dupl_448.py does')
        return views['perturbed']

    def _segmentation(self, batch: TrainingBatch, passes: Sequence[_StudentPass], present: Tensor, high: Tensor,
                      iteration: int, perturbed: Optional[Tensor]) -> dict[str, Tensor]:
        """Train each decoder on the other student's labels and, with a perturbed view, where there are none."""
        cfg, size = self.train_cfg, batch.images.shape[-2:]
        name = 'cams' if iteration >= cfg.get('final_cam_begin', 0) else self.aux_map
        thresholds = torch.stack([high.new_full(high.shape, cfg['low']), high], dim=1)
        labels = [self._pseudo_labels(batch, each.cams[name], present, thresholds=thresholds) for each in passes]
        logits = [each.student.decode(each.features, size) for each in passes]
        if iteration >= cfg.get('noise_filter_begin', 0):
            labels = [self.noise_filter(*pair) for pair in zip(logits, labels)]
        others = labels[::-1]
        terms = dict(seg=sum(each.student.decode_head.loss_decode(scores, other)
                             for each, scores, other in zip(passes, logits, others)))
        if perturbed is not None:
            scale = cfg.get('perturbed_scale', 1.)
            terms['reg'] = sum(self.loss_reg(each.student.decode_mirrored(perturbed, scale), scores, other)
                               for each, scores, other in zip(passes, logits, others))
        return terms


def _summed(terms: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Add up terms of the same name."""
    total: dict[str, Tensor] = {}
    for found in terms:
        for name, value in found.items():
            total[name] = total[name] + value if name in total else value
    return total
