"""The first stage of multi-stage methods: a classifier whose evidence is turned into class activation maps."""

from collections.abc import Mapping, Sequence
from typing import Optional, Union

import torch
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from mmseg.utils import ConfigType, OptConfigType, OptSampleList, SampleList
from torch import Tensor

from mmwsss.registry import MODELS
from mmwsss.utils import refuse_old_keys

from ..auxiliaries import Auxiliaries, TrainingBatch
from ..backbones.features import extract_features
from ..backbones.pretrained import with_pretrained
from ..data_preprocessor import denormalize
from ..label_steps import LabelBatch, LabelPipeline
from ..utils import cams_to_labels, quantize_colors, resize_maps, valid_boxes
from .cam_mixin import CAMMixin
from .settings import CAM_TEST, NOTHING, check_settings

__all__ = ['CAMClassifier']


@MODELS.register_module()
class CAMClassifier(CAMMixin, BaseModel):
    """A backbone and a CAM head, trained with image labels.

    Args:
        backbone: For instance :class:`AttentionViT`, or any of mmpretrain's that gives feature maps.
        cam_head: A :class:`BaseCAMHead`, for instance :class:`CAMHead` or :class:`MCTformerHead`.
        loss_cls: Loss of each score of the head against the image labels.
        loss_weights: Weight of the loss by name of the score, such as ``patch_logits``; 1 unless given.
        auxiliary: Parts that train along, such as :class:`AffinityReactivation`: a list of configs, or a dict of them
            by name.
        train_cfg: Not used.
        test_cfg: ``cams``: how views are fused (see :class:`CAMMixin`); ``threshold``: the background score of pseudo
            labels, predictions and pictures, 0.5 unless given; ``map_names``: the maps that are fused and evaluated,
            ``('cams', )`` unless given; ``steps``: label steps that refine fused maps in :meth:`predict`; none unless
            given.
        pretrained: Checkpoint from which the backbone starts, in place of its ``init_cfg``. None in most configs; mmseg
            sets it to None before it builds a model for inference.
        **kwargs: ``data_preprocessor`` and ``init_cfg``, as in mmengine's ``BaseModel``.

    Raises:
        UserError: ``train_cfg`` or ``test_cfg`` has an unknown key or a wrong value.
        ValueError: If ``test_cfg.map_names`` has a map that the head does not have.
    """

    train_settings = NOTHING
    test_settings = CAM_TEST

    def __init__(self,
                 backbone: ConfigType,
                 cam_head: ConfigType,
                 loss_cls: OptConfigType = None,
                 loss_weights: Optional[dict[str, float]] = None,
                 auxiliary: Union[Sequence[dict], Mapping[str, dict], None] = None,
                 train_cfg: OptConfigType = None,
                 test_cfg: OptConfigType = None,
                 pretrained: Optional[str] = None,
                 **kwargs) -> None:
        refuse_old_keys('CAMClassifier', kwargs,
                        {'reactivation': "auxiliary=[dict(type='AffinityReactivation', ...)]"})
        check_settings(self, train_cfg, test_cfg)
        super().__init__(**kwargs)
        self.backbone = MODELS.build(with_pretrained(backbone, pretrained))
        self.cam_head = MODELS.build(cam_head)
        self.loss_cls = MODELS.build(loss_cls or dict(type='MultiLabelSoftMarginLoss'))
        self.loss_weights = loss_weights or {}
        self.auxiliary = Auxiliaries(auxiliary)
        self.train_cfg, self.test_cfg = train_cfg or {}, test_cfg or {}
        self.test_steps = LabelPipeline(self.test_cfg.get('steps'))
        self.map_names = tuple(self.test_cfg.get('map_names', ('cams', )))
        self.cam_head.check_maps(self.map_names)

    def forward(self,
                inputs: Tensor,
                data_samples: OptSampleList = None,
                mode: str = 'tensor') -> Union[Tensor, SampleList, dict[str, Tensor]]:
        """Run as mmengine's loops ask.

        Args:
            inputs: (B, 3, H, W) normalized images.
            data_samples: With ``gt_label`` (C,) multi-hot where losses are asked for.
            mode: ``'loss'``: dict of losses; ``'predict'``: data samples; ``'tensor'``: ``logits`` (B, C).

        Raises:
            ValueError: If ``mode`` is none of these.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self.cam_head(extract_features(self.backbone, inputs, self.cam_head.request()))['logits']
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict[str, Tensor]:
        """Compute the loss of every score, ``loss_cls`` and such as ``loss_patch``, and those of the auxiliaries.

        The head and the auxiliaries share one pass through the backbone.
        """
        image_labels = torch.stack([sample.gt_label for sample in data_samples]).to(inputs)
        batch = TrainingBatch(inputs, image_labels, valid_boxes(data_samples, inputs))
        auxiliary = self.auxiliary.begin(self, batch)
        features = extract_features(self.backbone, inputs, auxiliary.request(self.cam_head.request()))
        scores = self.cam_head(features)
        terms = self.classification_losses(scores, image_labels)
        weights = (self.loss_weights.get(name, 1.) for name in self.cam_head.trained_scores or scores)
        losses = {f'loss_{term}': weight * value for (term, value), weight in zip(terms.items(), weights)}
        return {**losses, **auxiliary.losses(features)}

    def predict(self, inputs: Tensor, data_samples: SampleList) -> SampleList:
        """Predict the class activation maps of images and a segmentation from them; no image labels are used.

        Returns:
            The data samples with the maps of ``map_names``, (C, H, W) in [0, 1] at the images' own sizes,
            ``cls_logits`` (C,), and ``pred_sem_seg`` (1, H, W): the class with the highest score in the first of the
            maps, among the classes whose logit is positive, or 0 where that score is not above ``test_cfg.threshold``.
        """
        cams = self.predict_cams(inputs)
        if self.test_steps.steps:
            cams.update({name: self.refine_cams(inputs, cams[name]) for name in self.map_names})
        data_samples = self.attach_cams(cams, data_samples)
        for sample in data_samples:
            maps, present = sample.get(self.map_names[0]).data, sample.cls_logits > 0
            labels = cams_to_labels(maps[None], present[None], self.test_cfg.get('threshold', 0.5))
            sample.set_data({'pred_sem_seg': PixelData(data=labels)})
        return data_samples

    def refine_cams(self, inputs: Tensor, cams: Tensor) -> Tensor:
        """Run the label steps of ``test_cfg`` on fused maps (B, C, H, W) of all classes, and return the maps."""
        images = quantize_colors(denormalize(self.data_preprocessor, inputs))
        classes = torch.arange(self.cam_head.num_classes, device=cams.device)
        batch = self.test_steps.run(LabelBatch.from_maps(images, cams, classes, len(classes), inputs=inputs))
        return resize_maps(batch.scores[:, 0, 1:], cams.shape[-2:])
