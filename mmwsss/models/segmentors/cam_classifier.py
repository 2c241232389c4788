"""The first stage of multi-stage methods: a classifier whose evidence is turned into class activation maps."""

from typing import Optional, Union

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmwsss.registry import MODELS

from ..backbones import AttentionViT
from ..utils import refined_maps, valid_boxes
from .cam_mixin import CAMMixin

__all__ = ['CAMClassifier']


@MODELS.register_module()
class CAMClassifier(CAMMixin, BaseModel):
    """A backbone and a CAM head, trained with image labels.

    The head asks the backbone for what it needs:

    - ``head(backbone, inputs)`` gives the class scores that are trained, by name, each (B, C): ``logits``, which say
      which classes are present, and such as ``patch_logits``. Each has its own soft margin loss;
    - ``head.extract(backbone, inputs, names, classes)`` gives scores and class maps (B, C or P, h, w), raw;
    - ``head.map_names`` lists the maps it can give; ``'cams'`` are the method's result.

    Args:
        backbone: For instance :class:`AttentionViT`.
        cam_head: For instance :class:`MCTformerHead`.
        loss_weights: Weight of the loss by name of the score; 1 unless given.
        reactivation: :class:`AffinityReactivation`; without it, there are the losses of the scores alone.
        test_cfg: ``cams``: how views are fused (see :class:`CAMMixin`); ``threshold``: the background score of pseudo
            labels and pictures; ``map_names``: the maps that are fused and evaluated, ``('cams', )`` unless given;
            ``refiner``: of fused maps in :meth:`predict`, such as :class:`PixelAdaptiveRefinement`; none unless given.
        **kwargs: ``data_preprocessor`` and ``init_cfg``, as in mmengine's ``BaseModel``.

    Raises:
        ValueError: If ``test_cfg.map_names`` has a map that the head does not give.
    """

    def __init__(self,
                 backbone: dict,
                 cam_head: dict,
                 loss_weights: Optional[dict[str, float]] = None,
                 reactivation: Optional[dict] = None,
                 train_cfg: Optional[dict] = None,
                 test_cfg: Optional[dict] = None,
                 **kwargs) -> None:
        super().__init__(**kwargs)
        self.backbone = MODELS.build(backbone)
        self.cam_head = MODELS.build(cam_head)
        self.loss_cls = nn.MultiLabelSoftMarginLoss()
        self.loss_weights = loss_weights or {}
        self.reactivation = None if reactivation is None else MODELS.build(reactivation)
        self.train_cfg, self.test_cfg = train_cfg or {}, test_cfg or {}
        refiner = self.test_cfg.get('refiner')
        self.test_refiner = None if refiner is None else MODELS.build(refiner)
        self.map_names = tuple(self.test_cfg.get('map_names', ('cams', )))
        unknown = set(self.map_names) - set(self.cam_head.map_names)
        if unknown:
            raise ValueError(f'test_cfg.map_names has {sorted(unknown)}, the CAM head gives '
                             f'{", ".join(self.cam_head.map_names)}')

    def scored_maps(self, inputs: Tensor) -> dict[str, Tensor]:
        """Give scores (B, C) and the maps of ``map_names``, each (B, C, h, w), in one pass."""
        return self.cam_head.extract(self.backbone, inputs, self.map_names)

    def class_maps(self, inputs: Tensor, classes: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Give the maps of ``map_names``, each (B, C or P, h, w)."""
        found = self.cam_head.extract(self.backbone, inputs, self.map_names, classes)
        return {name: found[name] for name in self.map_names}

    @torch.no_grad()
    def extract_cams(self, inputs: Tensor, image_labels: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Run one scale without flip.

        Args:
            inputs: (B, 3, H, W) normalised images.
            image_labels: (B, C) multi-hot; maps of absent classes are set to 0. None keeps all.

        Returns:
            ``logits`` (B, C), ``cams`` (B, C, h, w) and what else the head gives, raw.
        """
        found = self.cam_head.extract(self.backbone, inputs)
        if image_labels is None:
            return found
        mask = image_labels[:, :, None, None]
        return {name: value * mask.to(value) if value.ndim == 4 else value for name, value in found.items()}

    def forward(self,
                inputs: Tensor,
                data_samples: Optional[list] = None,
                mode: str = 'tensor') -> Union[Tensor, list, dict[str, Tensor]]:
        """Run as mmengine's loops ask.

        Args:
            inputs: (B, 3, H, W) normalised images.
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
            return self.cam_head(self.backbone, inputs)['logits']
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Compute a soft margin loss for every score of the head: ``loss_cls`` and such as ``loss_patch``."""
        image_labels = torch.stack([sample.gt_label for sample in data_samples]).to(inputs)
        if self.reactivation is None or not self.reactivation.active:
            return self.classification_losses(self.cam_head(self.backbone, inputs), image_labels)
        scores, terms = self.reactivation(
            self._scores_and_map, self.backbone, inputs, image_labels, valid_boxes(data_samples, inputs))
        return {**self.classification_losses(scores, image_labels), **terms}

    def _scores_and_map(self, backbone: AttentionViT, inputs: Tensor,
                        map_name: Optional[str]) -> tuple[dict[str, Tensor], Optional[Tensor]]:
        """Run the head with another backbone, for the scores and, if it is named, a map (B, C, h, w)."""
        if map_name is None:
            return self.cam_head(backbone, inputs), None
        scores = self.cam_head.extract(backbone, inputs, [map_name])
        return scores, scores.pop(map_name)

    def classification_losses(self, scores: dict[str, Tensor], image_labels: Tensor) -> dict[str, Tensor]:
        """Compare scores by name, each (B, C), with multi-hot labels (B, C)."""
        losses = {}
        for name, logits in scores.items():
            term = 'cls' if name == 'logits' else name.removesuffix('_logits')
            # In half precision the sum over many classes loses digits.
            value = self.loss_cls(logits.float(), image_labels.float())
            losses[f'loss_{term}'] = self.loss_weights.get(name, 1.) * value
        return losses

    def predict(self, inputs: Tensor, data_samples: list) -> list:
        """Give samples the maps of ``map_names``, (C, H, W) in [0, 1] at their own sizes, and ``cls_logits``."""
        cams = self.multi_scale_cams(inputs)
        if self.test_refiner is not None:
            cams.update({name: refined_maps(self.test_refiner, inputs, cams[name]) for name in self.map_names})
        return self.attach_cams(cams, data_samples)
