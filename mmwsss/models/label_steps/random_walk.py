"""Random walk of scores along the affinities of an AffinityNet."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Optional

import torch
from mmengine.runner import load_checkpoint
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmwsss.checkpoints import weights_hash
from mmwsss.registry import MODELS
from mmwsss.utils.cli import read_config_file
from mmwsss.utils.settings import SettingsTable, number

from ..utils import MAX_LOG2_STEPS, resize_maps
from .base import LabelStep
from .batch import LabelBatch
from .scores import resized_scores

__all__ = ['CutPadding', 'RandomWalk']

_SETTINGS = SettingsTable(dict(beta=number(0, none=True), log2_steps=number(0, MAX_LOG2_STEPS, whole=True, none=True)))


@MODELS.register_module()
class RandomWalk(LabelStep):
    """Propagate scores by a random walk along the affinities of an AffinityNet (PSA, CVPR 2018, Sec. 3.3).

    Without ``config`` the network is the model of the run, which must be an :class:`~mmwsss.models.AffinityNet`, and
    the scores come from a folder of saved maps. With ``config`` the step loads its own network and can follow any model
    in the same pass.

    Args:
        beta (float, optional): Exponent of the affinities; by default the network's ``test_cfg.beta``.
        log2_steps (int, optional): Logarithm of the number of steps, 0 to 16; by default the network's
            ``test_cfg.log2_steps``.
        config (str, optional): Config of an AffinityNet.
        checkpoint (str, optional): Its weights; required with ``config``.
        keep_padding (bool): Let the following steps see the images padded to the whole cells of the walk, with the mean
            color of the network, as TransCAM's dense CRF does; :class:`CutPadding` ends this. Otherwise the padding is
            cut off right after the walk.

    Raises:
        ValueError: Only one of ``config`` and ``checkpoint`` is given, or ``beta`` or ``log2_steps`` is out of range.
    """

    device = 'model'

    def __init__(self,
                 beta: Optional[float] = None,
                 log2_steps: Optional[int] = None,
                 config: Optional[str] = None,
                 checkpoint: Optional[str] = None,
                 keep_padding: bool = False) -> None:
        if (config is None) != (checkpoint is None):
            raise ValueError('RandomWalk takes config and checkpoint of an AffinityNet together, got '
                             f'config={config!r} and checkpoint={checkpoint!r}')
        _SETTINGS.check('RandomWalk', dict(beta=beta, log2_steps=log2_steps))
        self.beta = beta
        self.log2_steps = log2_steps
        self.keep_padding = keep_padding
        self.needs = ('background', 'inputs') if config is None else ('background', )
        self._config = config
        self._checkpoint = checkpoint
        self._network: Optional[nn.Module] = None

    def bind(self, model: nn.Module) -> None:
        """Use the model of the run as the network, or load the step's own network.

        Raises:
            ValueError: The network is not an AffinityNet.
        """
        if self._network is not None:
            return
        network = model if self._config is None else _load(self._config, self._checkpoint)
        if not hasattr(network, 'walk_cams'):
            raise ValueError(f'RandomWalk needs an AffinityNet (configs/psa) and its checkpoint, '
                             f'{type(network).__name__} is none: the maps of this model are saved first (--save-cams), '
                             'and walk in a run with the AffinityNet (--cams FOLDER); or give the step config and '
                             'checkpoint')
        self._network = network
        cfg = network.test_cfg
        self.beta = cfg.get('beta', 8) if self.beta is None else self.beta
        self.log2_steps = cfg.get('log2_steps', 6) if self.log2_steps is None else self.log2_steps

    def identity(self) -> dict[str, Any]:
        """Return exponent, steps, what else is set, and the hash of the network's weights."""
        weights = {} if self._network is None else {'weights': weights_hash(self._network)}
        shrinks = getattr(self._network, 'test_cfg', {}).get('shrink_radius')
        options = dict(keep_padding=self.keep_padding, shrink_radius=shrinks)
        options = {name: True for name, value in options.items() if value}
        return dict(type=type(self).__name__, beta=self.beta, log2_steps=self.log2_steps, **options, **weights)

    def transform(self, batch: LabelBatch) -> LabelBatch:
        """Run the random walk at the size of the network's input; the result has the size of the images.

        Raises:
            ValueError: The step has no network yet, see :meth:`bind`; or images are to be padded that have another size
                than the input of the network.
        """
        if self._network is None:
            if self._config is None:
                raise ValueError('RandomWalk has no network: give it config and checkpoint of an AffinityNet')
            self.bind(None)
        inputs = batch.inputs if self._config is None else self._normalized(batch)
        planes = resized_scores(batch, inputs.shape[-2:]).flatten(1, 2)
        # Each image has a sparse affinity matrix of its own.
        walked = torch.stack([
            self._network.walk_cams(one[None], scores.to(one), self.beta, self.log2_steps, self.keep_padding)
            for one, scores in zip(inputs, planes)])
        if self.keep_padding:
            batch = _padded(batch, walked.shape[-2:], inputs.shape[-2:], _mean_color(self._network))
        walked = resize_maps(walked, batch.size).view(*batch.scores.shape[:3], *batch.size)
        return replace(batch, scores=walked)

    def __getstate__(self) -> dict:
        """Return the state without the network, which worker processes do not need."""
        return {**vars(self), '_network': None}

    def _normalized(self, batch: LabelBatch) -> Tensor:
        """Return the images normalized for the step's own network."""
        self._network.to(batch.scores.device)
        colors = batch.images if batch.images.dtype == torch.uint8 else (batch.images * 255).round().to(torch.uint8)
        samples = [SegDataSample(metainfo=dict(img_shape=batch.size)) for _ in colors]
        return torch.cat([self._network.data_preprocessor(dict(inputs=[one.flip(0)], data_samples=[sample]))['inputs']
                          for one, sample in zip(colors, samples)])


@MODELS.register_module()
class CutPadding(LabelStep):
    """Cut images and scores to ``batch.boxes``, after the steps that follow a :class:`RandomWalk` with padding."""

    def transform(self, batch: LabelBatch) -> LabelBatch:
        """Return the batch without padding.

        Raises:
            ValueError: The images have different boxes, or none.
        """
        if batch.boxes is None or (batch.boxes != batch.boxes[0]).any():
            raise ValueError('CutPadding needs images that are padded alike, by a RandomWalk with keep_padding')
        top, bottom, left, right = batch.boxes[0].tolist()
        scores = resized_scores(batch, batch.size)
        return replace(batch, images=batch.images[..., top:bottom, left:right],
                       scores=scores[..., top:bottom, left:right], boxes=None)


def _mean_color(network: nn.Module) -> Tensor:
    """Return the RGB color (3,) uint8 that is 0 after normalization, without its decimals."""
    mean = getattr(network.data_preprocessor, 'mean', torch.zeros(3)).flatten()
    return mean.to('cpu', torch.uint8)


def _padded(batch: LabelBatch, size: Sequence[int], input_size: Sequence[int], color: Tensor) -> LabelBatch:
    """Pad images of 8 bits with a color at the right and bottom; their own region becomes ``boxes``."""
    if batch.size != tuple(input_size) or batch.images.dtype != torch.uint8:
        raise ValueError(f'RandomWalk pads images of 8 bits and of the size of the input of the network, {input_size}, '
                         f'got {batch.images.dtype} and {batch.size}')
    images = color.to(batch.images.device)[:, None, None].expand(len(batch.images), -1, *size).clone()
    height, width = batch.size
    images[..., :height, :width] = batch.images
    boxes = torch.tensor([[0, height, 0, width]], device=batch.scores.device).expand(len(images), -1)
    return replace(batch, images=images, boxes=boxes)


def _load(config: str, checkpoint: str) -> nn.Module:
    """Build a network from a config file and load its weights."""
    cfg = read_config_file(config).model
    cfg.backbone.init_cfg = None
    network = MODELS.build(cfg)
    load_checkpoint(network, checkpoint, map_location='cpu', strict=True, logger='silent')
    return network.eval().requires_grad_(False)
