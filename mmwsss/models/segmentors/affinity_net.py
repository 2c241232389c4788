"""AffinityNet, which predicts the affinity of neighboring cells, and the random walk of scores along it."""

from collections.abc import Sequence
from typing import Optional, Union

import torch
from mmengine.model import BaseModel
from mmseg.utils import ConfigType, OptConfigType, OptSampleList, SampleList
from torch import Tensor
from torch.nn import functional as F

from mmwsss.registry import MODELS

from ..backbones.pretrained import with_pretrained
from ..utils import dense_affinity, pair_affinity, pair_labels, random_walk, resize_maps, sparse_affinity
from .settings import AFFINITY_TEST, NOTHING, check_settings

__all__ = ['AffinityNet']


@MODELS.register_module()
class AffinityNet(BaseModel):
    """Learning Pixel-level Semantic Affinity with Image-level Supervision (Ahn and Kwak, CVPR 2018).

    It learns from partial labels whether two cells closer than ``radius`` belong to the same class.
    :meth:`walk_cams` spreads class activation maps by a random walk along these affinities.

    Args:
        backbone: Gives three maps at stride 8, such as :class:`WideResNet38`.
        affinity_head: Makes one map of features of them, such as :class:`AffinityHead`.
        loss_affinity: Of affinities and pair labels; :class:`PairAffinityLoss` unless given.
        radius: Distance in cells below which cells form a pair.
        train_cfg: Not used.
        test_cfg: ``beta``, exponent of the affinities, 8 unless given; ``log2_steps``, logarithm of the number of
            steps, 6 unless given; ``shrink_radius``: see :meth:`inference_radius`. For pseudo labels, ``threshold``:
            score of a constant background plane; or ``background_alpha``: the background is (1 - max map) to this
            power.
        pretrained: Checkpoint from which the backbone starts, in place of its ``init_cfg``. None in most configs; mmseg
            sets it to None before it builds a model for inference.
        **kwargs: ``data_preprocessor`` and ``init_cfg``, as in mmengine's ``BaseModel``.

    Raises:
        UserError: ``train_cfg`` or ``test_cfg`` has an unknown key or a wrong value.

    Attributes:
        stride: Side of a cell in pixels.
        class_agnostic: True, because the network has no classes and works with those of any data.
    """

    stride = 8
    class_agnostic = True
    train_settings = NOTHING
    test_settings = AFFINITY_TEST

    def __init__(self,
                 backbone: ConfigType,
                 affinity_head: ConfigType,
                 loss_affinity: OptConfigType = None,
                 radius: int = 5,
                 train_cfg: OptConfigType = None,
                 test_cfg: OptConfigType = None,
                 pretrained: Optional[str] = None,
                 **kwargs) -> None:
        check_settings(self, train_cfg, test_cfg)
        super().__init__(**kwargs)
        self.backbone = MODELS.build(with_pretrained(backbone, pretrained))
        self.affinity_head = MODELS.build(affinity_head)
        self.loss_affinity = MODELS.build(loss_affinity or dict(type='PairAffinityLoss'))
        self.radius = radius
        self.train_cfg, self.test_cfg = train_cfg or {}, test_cfg or {}

    def forward(self,
                inputs: Tensor,
                data_samples: OptSampleList = None,
                mode: str = 'tensor') -> Union[Tensor, SampleList, dict[str, Tensor]]:
        """Run the network in one of mmengine's modes.

        Args:
            inputs: (B, 3, H, W) normalized images.
            data_samples: With ``gt_sem_seg`` (h, w) on the grid of stride 8 where losses are asked for.
            mode: ``'loss'``: dict of losses; ``'predict'``: data samples; ``'tensor'``: what :meth:`extract_pairs`
                gives.

        Raises:
            ValueError: If ``mode`` is none of these.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self.extract_pairs(inputs)
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict[str, Tensor]:
        """Compare affinities with labels: ``loss_background``, ``loss_foreground`` and ``loss_negative``.

        Raises:
            ValueError: The labels are not on the grid of the features.
        """
        features = self.affinity_head(self.backbone(inputs))
        labels = torch.stack([sample.gt_sem_seg.data.squeeze(0) for sample in data_samples])
        if labels.shape[-2:] != features.shape[-2:]:
            raise ValueError(
                f'labels have {labels.shape[-2]} x {labels.shape[-1]} cells, features of images of {inputs.shape[-2]} '
                f'x {inputs.shape[-1]} pixels {features.shape[-2]} x {features.shape[-1]}: the pipeline has to bring '
                'labels to the grid, with PoolAffinityLabels or StrideLabels')
        affinities = pair_affinity(features, self.radius)
        terms = self.loss_affinity.terms(affinities, pair_labels(labels.to(features.device), self.radius))
        return {f'loss_{name}': term for name, term in terms.items()}

    def predict(self, inputs: Tensor, data_samples: SampleList) -> SampleList:
        """Add ``pair_affinity`` (P, N_from) to the samples, for :class:`~mmwsss.evaluation.PairAffinityMetric`."""
        for sample, pairs in zip(data_samples, self.extract_pairs(inputs)):
            sample.set_field(pairs, 'pair_affinity')
            size = inputs.shape[-2:]
            sample.set_metainfo({'pair_radius': self.inference_radius(size), 'pair_grid': self.grid(size)})
        return data_samples

    def inference_radius(self, size: Sequence[int]) -> int:
        """Return the radius for an image of (H, W) pixels at inference.

        It is that of training, unless ``test_cfg.shrink_radius`` is set: then, if the shorter side has ``n`` cells, and
        these are fewer than ``2 * radius + 1``, it is ``(n - 1) // 2``, but at least 2, as in TransCAM's code.
        """
        cells = min(-(-side // self.stride) for side in size)
        if self.test_cfg.get('shrink_radius') and cells < 2 * self.radius + 1:
            return max((cells - 1) // 2, 2)
        return self.radius

    def grid(self, size: Sequence[int]) -> tuple[int, int]:
        """Return the grid (h, w) for an image of (H, W) pixels at inference, which is large enough for the radius."""
        radius = self.inference_radius(size)
        height, width = (-(-side // self.stride) for side in size)
        return max(height, radius), max(width, 2 * radius - 1)

    def extract_pairs(self, inputs: Tensor) -> Tensor:
        """Compute the affinities of pairs.

        Args:
            inputs: (B, 3, H, W) normalized images, padded here with zeros at the right and bottom, to a multiple of 8
                and to the least size that has pairs.

        Returns:
            (B, P, N_from) in (0, 1], see :func:`~mmwsss.models.utils.pair_affinity`.
        """
        features = self.affinity_head(self.backbone(self._padded(inputs)))
        return pair_affinity(features, self.inference_radius(inputs.shape[-2:]))

    @torch.no_grad()
    def extract_affinity(self, inputs: Tensor) -> Tensor:
        """Compute the affinities of all cells of the grid of stride 8.

        Args:
            inputs: See :meth:`extract_pairs`.

        Returns:
            (B, N, N), N = h * w of :meth:`grid`: symmetric, 1 on the diagonal, 0 from the radius on.
        """
        size = inputs.shape[-2:]
        return dense_affinity(self.extract_pairs(inputs), self.grid(size), self.inference_radius(size))

    @torch.no_grad()
    def walk_cams(self, inputs: Tensor, scores: Tensor, beta: Optional[float] = None,
                  log2_steps: Optional[int] = None, keep_padding: bool = False) -> Tensor:
        """Spread the class activation maps of an image by a random walk along its affinities.

        Maps are padded as the image is and averaged over cells; afterward they are enlarged and cut to their size.

        Args:
            inputs: (1, 3, H, W) normalized image.
            scores: (K, H, W): maps of the classes that are present, and a background plane. Absent classes can be left
                out, because maps do not influence each other.
            beta: Exponent of the affinities. Defaults to ``test_cfg.beta``.
            log2_steps: Base-2 logarithm of the number of steps. Defaults to ``test_cfg.log2_steps``.
            keep_padding: Return what covers the padding at the right and bottom, too.

        Returns:
            (K, H, W), or (K, H', W') with the padding.

        Raises:
            ValueError: The image and the maps differ in size, or there are several images.
        """
        if len(inputs) != 1 or inputs.shape[-2:] != scores.shape[-2:]:
            raise ValueError('the walk takes one image (1, 3, H, W) and its maps (K, H, W), got '
                             f'{tuple(inputs.shape)} and {tuple(scores.shape)}')
        height, width = scores.shape[-2:]
        cells = F.avg_pool2d(self._padded(scores), self.stride)
        radius = self.inference_radius((height, width))
        affinity = sparse_affinity(self.extract_pairs(inputs)[0], cells.shape[-2:], radius)
        beta = self.test_cfg.get('beta', 8) if beta is None else beta
        log2_steps = self.test_cfg.get('log2_steps', 6) if log2_steps is None else log2_steps
        cells = random_walk(cells, affinity, beta, log2_steps)
        size = [self.stride * side for side in cells.shape[-2:]]
        walked = resize_maps(cells[None], size)[0]
        return walked if keep_padding else walked[:, :height, :width]

    def _padded(self, maps: Tensor) -> Tensor:
        """Pad maps (..., H, W) with zeros to whole cells."""
        rows, cols = (self.stride * cells for cells in self.grid(maps.shape[-2:]))
        return F.pad(maps, (0, cols - maps.shape[-1], 0, rows - maps.shape[-2]))
