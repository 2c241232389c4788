"""A list of label steps and a labeler."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Optional, Union

import torch
from torch import Tensor, nn

from mmwsss.registry import MODELS
from mmwsss.utils.errors import UserError

from ..utils import mask_outside_boxes
from .base import Labeler, LabelStep
from .batch import LabelBatch

__all__ = ['LabelPipeline', 'with_thresholds']

_WAYS_OUT = dict(
    background='put ConstantBackground or AlphaBackground before it',
    inputs='it works on batches that carry the input of a network',
    affinity='it works on batches that carry an affinity',
    thresholds='it works on batches that carry background scores of each image, as in the training of DuPL')


@MODELS.register_module()
class LabelPipeline:
    """Make pseudo labels from class activation maps by a list of steps and a labeler.

    It is used in training (ToCo), in testing and to make label folders. It is not a module: the weights of a step's own
    network are not trained and not part of checkpoints.

    Args:
        steps (Sequence[dict or LabelStep]): Steps or their configs, in order.
        labeler (dict or Labeler, optional): Labeler or its config; without one the result is score maps.
        given (Collection[str]): What batches have before the first step; see :meth:`check`.

    Raises:
        TypeError: A part is not a step or not a labeler.
        ValueError: A part needs what no part before it gives; the message names the part and the remedy.
    """

    def __init__(self,
                 steps: Optional[Sequence[Union[dict, LabelStep]]] = (),
                 labeler: Union[dict, Labeler, None] = None,
                 given: Collection[str] = ('inputs', 'affinity')) -> None:
        self.steps = [_built(step, LabelStep, 'label step') for step in steps or ()]
        self.labeler = None if labeler is None else _built(labeler, Labeler, 'labeler')
        self.check(given)

    def check(self, given: Collection[str]) -> None:
        """Check the order of the parts.

        Args:
            given (Collection[str]): What the batches have before the first step: of ``'background'``, ``'inputs'``,
                ``'affinity'`` and ``'thresholds'``.

        Raises:
            ValueError: A part needs what no part before it gives.
        """
        found = set(given)
        for position, part in enumerate([*self.steps, *([self.labeler] if self.labeler else [])]):
            missing = [need for need in part.needs if need not in found]
            if missing:
                role = 'the labeler' if part is self.labeler else f'step {position + 1}'
                way_out = _WAYS_OUT.get(missing[0], 'put a step before it that gives it')
                raise ValueError(f'{role}, {type(part).__name__}, needs {missing[0]}, which nothing before it gives: '
                                 f'{way_out}')
            found |= set(getattr(part, 'gives', ()))

    def bind(self, model: nn.Module) -> 'LabelPipeline':
        """Prepare every step for the model of the run."""
        for step in self.steps:
            step.bind(model)
        return self

    def identity(self) -> dict[str, Any]:
        """Return all settings that determine the result, as JSON values."""
        return {'steps': [step.identity() for step in self.steps],
                'labeler': None if self.labeler is None else self.labeler.identity()}

    @property
    def num_model_steps(self) -> int:
        """Steps up to the last one that has to run on the device of the model."""
        return max((k + 1 for k, step in enumerate(self.steps) if step.device == 'model'), default=0)

    @torch.no_grad()
    def run(self, batch: LabelBatch, start: int = 0, stop: Optional[int] = None) -> LabelBatch:
        """Run the steps ``start`` to ``stop`` (exclusive; by default all).

        Raises:
            UserError: A step fails on images that have ids, or their scores are NaN or infinite; the message names the
                images and the step.
        """
        _require_finite(batch, 'CAMs')
        for step in self.steps[start:stop]:
            batch = _checked(step, batch) if batch.image_ids else step.transform(batch)
        return batch

    @torch.no_grad()
    def label(self, batch: LabelBatch) -> Tensor:
        """Run the labeler alone.

        Returns:
            Tensor: (B, H, W) long: 0, class + 1, or 255, also outside of ``batch.boxes``.

        Raises:
            ValueError: There is no labeler.
        """
        if self.labeler is None:
            raise ValueError("there is no labeler: give one, such as labeler=dict(type='Argmax')")
        labels = self.labeler(batch)
        return labels if batch.boxes is None else mask_outside_boxes(labels, batch.boxes)

    def __call__(self, batch: LabelBatch) -> Tensor:
        """Run all steps and the labeler; see :meth:`label`."""
        return self.label(self.run(batch))


def _checked(step: LabelStep, batch: LabelBatch) -> LabelBatch:
    """Run a step on images that have ids, and name these in errors."""
    name = type(step).__name__
    try:
        found = step.transform(batch)
    except ValueError as error:
        raise UserError(f'image {", ".join(map(str, batch.image_ids))}: {error} (label step {name})') from error
    _require_finite(found, f'scores after the label step {name}')
    return found


def _require_finite(batch: LabelBatch, what: str) -> None:
    """Refuse scores of images with ids that are NaN or infinite; nothing is checked in training."""
    if not batch.image_ids:
        return
    finite = torch.isfinite(batch.scores).flatten(1).all(dim=1)
    if not finite.all():
        images = ', '.join(str(image_id) for image_id, good in zip(batch.image_ids, finite) if not good)
        raise UserError(f'image {images}: the {what} are NaN or infinite: has the training diverged, or are the '
                        'weights damaged?')


def with_thresholds(label_cfg: Optional[Mapping], low: float, high: float) -> dict[str, Any]:
    """Complete the ``label_cfg`` of a model that states its two background scores elsewhere.

    Args:
        label_cfg (Mapping, optional): ``steps`` and ``labeler``; :class:`MergeLevels` unless given.
        low (float): Lower background score.
        high (float): Higher background score.

    Returns:
        dict[str, Any]: The same, with ``low`` and ``high`` in each part of type ``ConstantBackground`` or
        ``ThresholdLabels`` that names no score.
    """
    parts = {'ConstantBackground', 'ThresholdLabels'}

    def completed(part: Any) -> Any:
        bare = isinstance(part, Mapping) and set(part) == {'type'} and str(part['type']).split('.')[-1] in parts
        return {**part, 'low': low, 'high': high} if bare else part

    found = {'steps': (), 'labeler': dict(type='MergeLevels'), **(label_cfg or {})}
    return {**found, 'steps': [completed(step) for step in found['steps']], 'labeler': completed(found['labeler'])}


def _built(part: Any, kind: type, name: str) -> Any:
    """Build a part from its config, and check that it is of a kind."""
    # Names refer to mmwsss even if the default scope of a run is mmseg.
    found = MODELS.build({'_scope_': 'mmwsss', **part}) if isinstance(part, dict) else part
    if not isinstance(found, kind):
        raise TypeError(f'{type(found).__name__} is no {name}: it does not derive from '
                        f'mmwsss.models.label_steps.{kind.__name__}')
    return found
