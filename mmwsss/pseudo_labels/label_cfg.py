"""``label_cfg``, which describes how maps become pseudo labels: its short forms, and the objects that it builds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

from torch import nn

from mmwsss.models.label_steps import CRF_PRESETS, HARD_LABEL_CRFS, LabelPipeline
from mmwsss.registry import TASK_UTILS
from mmwsss.utils import OutputError, closest, path_inside
from mmwsss.utils.cli import read_config_file

from .sources import LabelSource, default_source

__all__ = [
    'POSTS', 'LabelOutput', 'LabelPlan', 'build_outputs', 'check_keys', 'expand_short_forms', 'read_label_cfg',
    'uses_workers'
]

POSTS = {
    'none': ('background', ),
    'par': ('half', 'background', 'softmax', 'par'),
    'crf': ('background', 'crf'),
    'label-crf': ('background', 'hard', 'crf'),
    'random-walk': ('background', 'walk'),
    'random-walk-crf': ('background', 'padded_walk', 'colors', 'hard', 'crf', 'cut')
}
"""dict: Short names of lists of steps."""

_DEFAULT_CRF = {'crf': 'mctformer_cam', 'label-crf': 'weaktr_label_voc', 'random-walk-crf': 'transcam_label'}
_LABELS = 'labels'


def expand_short_forms(test_cfg: Optional[Mapping] = None,
                       threshold: Optional[float] = None,
                       high: Optional[float] = None,
                       post: Optional[str] = None,
                       crf: Union[str, dict, None] = None,
                       crf_classes: Optional[str] = None,
                       crf_stride: Optional[int] = None,
                       save_cams: bool = False,
                       crf_alphas: Optional[tuple[float, ...]] = None,
                       cam_stride: Union[int, str, None] = None,
                       cam_format: Optional[str] = None,
                       source: Optional[str] = None,
                       cams: Optional[str] = None,
                       first_key: Optional[int] = None,
                       background_alpha: Optional[float] = None) -> dict:
    """Expand short forms, which are the flags of ``tools/make_pseudo_labels.py``, to a ``label_cfg``.

    Args:
        test_cfg (Mapping, optional): The model's ``test_cfg``. Its ``threshold`` (of a random walk also its
            ``background_alpha``), ``pseudo_label_crf`` and ``pseudo_label_par`` (arguments of
            :class:`~mmwsss.models.PixelAdaptiveRefinement`) stand in for what is not given.
        threshold (float, optional): Background score of :class:`~mmwsss.models.ConstantBackground`.
        high (float, optional): A second, higher one.
        post (str, optional): One of :data:`POSTS`; ``'none'`` unless given.
        crf (str or dict, optional): Preset or arguments of the :class:`~mmwsss.models.DenseCRF` of ``post``.
        crf_classes (str, optional): ``over`` of ``HardLabels``; by default as in the publication of ``crf``.
        crf_stride (int, optional): ``stride`` of every CRF.
        save_cams (bool): Write the CAMs too, as the output ``cams``.
        crf_alphas (Sequence[float], optional): For each, write the CRF's marginals of the maps beside an
            :class:`~mmwsss.models.AlphaBackground`, as the outputs ``crf_1`` and so on.
        cam_stride (int or str, optional): ``stride`` of these outputs.
        cam_format (str, optional): ``format`` of these outputs.
        source (str, optional): ``'cams'`` or ``'segmentation'``; by default what the model has.
        cams (str, optional): Folder of CAMs that were saved earlier, the source of a random walk.
        first_key (int, optional): ``first_key`` of the :class:`~mmwsss.pseudo_labels.MapFolder` of ``cams``.
        background_alpha (float, optional): An :class:`~mmwsss.models.AlphaBackground` in place of ``threshold``.

    Returns:
        dict: The ``label_cfg``; see :func:`read_label_cfg`.

    Raises:
        ValueError: Nothing gives a background, or a name is unknown.
    """
    test_cfg, post = test_cfg or {}, post or 'none'
    _require_known('post', post, POSTS)
    stride = {'stride': crf_stride} if crf_stride not in (None, 1) else {}
    used = crf or test_cfg.get('pseudo_label_crf') or _DEFAULT_CRF.get(post)
    parts = dict(
        background=_background(test_cfg, threshold, high, background_alpha, post.startswith('random-walk')),
        half=dict(type='Downscale', factor=2),
        softmax=dict(type='Softmax'),
        par=dict(type='PixelAdaptiveRefinement', **(test_cfg.get('pseudo_label_par') or {})),
        walk=dict(type='RandomWalk'),
        colors=dict(type='RoundTripColors', double=True),
        padded_walk=dict(type='RandomWalk', keep_padding=True),
        cut=dict(type='CutPadding'))
    if 'crf' in POSTS[post]:
        parts['crf'] = {**stride, **_crf(used, post)}
        over = crf_classes or (HARD_LABEL_CRFS.get(used) if isinstance(used, str) else None) or 'present'
        parts['hard'] = dict(type='HardLabels', confidence=0.7, over=over)
    saved = {key: value for key, value in (('stride', cam_stride), ('format', cam_format)) if value is not None}
    outputs: dict[str, dict] = {'cams': dict(steps=[], **saved)} if save_cams else {}
    for alpha in _distinct(crf_alphas or ()):
        steps = [dict(type='AlphaBackground', alpha=alpha), dict(type='DenseCRF', preset='psa_cam', **stride)]
        outputs[f'crf_{alpha:g}'] = dict(steps=steps, **saved)
    return dict(
        **_source(source, cams, first_key),
        steps=[parts[name] for name in POSTS[post]],
        labeler=dict(type='Argmax' if high is None else 'MergeLevels'),
        outputs=outputs)


def read_label_cfg(file: str) -> dict:
    """Read a ``label_cfg`` from a config file.

    Args:
        file (str): Python, JSON or YAML config that has ``label_cfg``; those of mmwsss as ``configs/...`` from any
            folder.

    Returns:
        dict: The ``label_cfg``: ``source``, config of a :class:`~mmwsss.pseudo_labels.LabelSource`, by default what
        the model has; ``steps``, a list of configs of label steps; ``labeler``, the config of a labeler; and
        ``outputs``, further results of the same pass. Each of them has a name, which becomes a folder, ``steps``,
        perhaps a ``labeler``, and for CAMs ``stride`` (1; a number or ``'tokens'``) and ``format``
        (``'npz'`` or ``'npy'``).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It has no ``label_cfg``.
    """
    cfg = read_config_file(file)
    if not isinstance(cfg.get('label_cfg'), dict):
        raise ValueError(f'{file} has no label_cfg; its keys are {", ".join(cfg)}')
    return cfg.label_cfg.to_dict()


@dataclass(frozen=True)
class LabelOutput:
    """One result of a pass over the images.

    Attributes:
        pipeline (LabelPipeline): Steps and labeler; without a labeler the result is CAMs.
        stride (int): Class maps are averaged down to this fraction of the image's size.
        format (str): Suffix of the files: ``'png'`` for labels, ``'npz'`` or ``'npy'`` for CAMs.
    """

    pipeline: LabelPipeline
    stride: int = 1
    format: str = 'png'

    def identity(self) -> dict[str, Any]:
        """Return all settings that determine the result, as JSON values."""
        maps = {} if self.pipeline.labeler else {'stride': self.stride, 'format': self.format}
        return {**self.pipeline.identity(), **maps}


class LabelPlan:
    """The source and all outputs that a ``label_cfg`` describes, bound to a model.

    Args:
        label_cfg (Mapping): See :func:`read_label_cfg`.
        model (nn.Module): The model of the run.
        num_classes (int): C, foreground classes of the data.

    Attributes:
        source (LabelSource): Where the maps come from.
        outputs (dict[str, LabelOutput]): By name; the first one is ``'labels'``.

    Raises:
        TypeError: The model does not give what the source asks for, or a part is no step or labeler.
        ValueError: A key or name is unknown, a setting is wrong, or a step lacks what it needs.
    """

    def __init__(self, label_cfg: Mapping, model: nn.Module, num_classes: int) -> None:
        check_keys(label_cfg)
        self.source: LabelSource = TASK_UTILS.build(
            {'_scope_': 'mmwsss', **(label_cfg.get('source') or default_source(model))})
        self.source.bind(model, num_classes)
        self.outputs = build_outputs(label_cfg, model)

    @property
    def map_formats(self) -> dict[str, str]:
        """Suffixes of the outputs beside the labels."""
        return {name: output.format for name, output in self.outputs.items() if name != _LABELS}

    def identity(self) -> dict[str, Any]:
        """Return all settings besides model and data that determine the results, as JSON values."""
        labels = self.outputs[_LABELS].identity()
        others = {name: output.identity() for name, output in self.outputs.items() if name != _LABELS}
        return {'source': self.source.identity(), **labels, 'outputs': others}


def build_outputs(label_cfg: Mapping, model: Optional[nn.Module] = None) -> dict[str, LabelOutput]:
    """Build the outputs of a ``label_cfg`` by name, ``'labels'`` first.

    Args:
        label_cfg (Mapping): See :func:`read_label_cfg`.
        model (nn.Module, optional): The model of the run, where a step or a stride needs it.

    Returns:
        dict[str, LabelOutput]: Steps, labeler and form of every output.
    """
    labels = {key: label_cfg[key] for key in ('steps', 'labeler') if key in label_cfg}
    nodes = {_LABELS: labels, **(label_cfg.get('outputs') or {})}
    return {name: _output(name, node, model) for name, node in nodes.items()}


def uses_workers(label_cfg: Mapping) -> bool:
    """Return whether a ``label_cfg`` has a dense CRF on the CPU, which makes workers beside the network worthwhile."""
    nodes = [label_cfg, *(label_cfg.get('outputs') or {}).values()]
    return any(str(step['type']).endswith('DenseCRF') and step.get('backend') != 'torch'
               for node in nodes for step in node.get('steps') or ())


def check_keys(label_cfg: Mapping) -> None:
    """Check the keys of a ``label_cfg`` and build its steps once, without a model.

    Raises:
        TypeError: A part is no step or labeler.
        ValueError: A key is unknown, a setting is wrong, or a step lacks what it needs.
    """
    known = ('source', 'steps', 'labeler', 'outputs')
    for key in label_cfg:
        if key not in known:
            raise ValueError(f'label_cfg has the unknown key {key!r}{closest(key, known)}; it has {", ".join(known)}')
    LabelPipeline(label_cfg.get('steps'), label_cfg.get('labeler') or dict(type='MergeLevels'))
    for name, node in (label_cfg.get('outputs') or {}).items():
        _check_output_node(name, node)


def _check_output_node(name: str, node: Mapping) -> None:
    known = ('steps', 'labeler', 'stride', 'format')
    for key in node:
        if key not in known:
            raise ValueError(f'output {name!r} of label_cfg has the unknown key {key!r}{closest(key, known)}; it has '
                             f'{", ".join(known)}')
    try:
        path_inside('.', name)
    except OutputError as error:
        raise ValueError(f'output {name!r} of label_cfg: {error}') from error
    if name == _LABELS or '/' in name:
        raise ValueError(f"an output of label_cfg cannot be called {name!r}: its name becomes a folder, and 'labels' "
                         'are steps and labeler of label_cfg itself')
    stride = node.get('stride', 1)
    if stride != 'tokens' and not (isinstance(stride, int) and stride >= 1):
        raise ValueError(f"stride of output {name!r} must be 1 or more, or 'tokens', got {stride!r}")
    if node.get('format', 'npz') not in ('npz', 'npy'):
        raise ValueError(f"format of output {name!r} must be 'npz' or 'npy', got {node['format']!r}")
    LabelPipeline(node.get('steps'), node.get('labeler'))


def _output(name: str, node: Mapping, model: Optional[nn.Module]) -> LabelOutput:
    """Build one output."""
    labeler = node.get('labeler') or (dict(type='MergeLevels') if name == _LABELS else None)
    pipeline = LabelPipeline(node.get('steps'), labeler)
    pipeline.check(('inputs', ))
    if model is not None:
        pipeline.bind(model)
    if labeler is not None:
        return LabelOutput(pipeline)
    stride = node.get('stride', 1)
    return LabelOutput(pipeline, _patch_size(model) if stride == 'tokens' else stride, node.get('format', 'npz'))


def _background(test_cfg: Mapping, threshold: Optional[float], high: Optional[float], alpha: Optional[float],
                walks: bool) -> dict:
    """Return the step that fills the background, from the arguments and from a config's ``test_cfg``."""
    if threshold is not None and alpha is not None:
        raise ValueError(f'there is one background, a threshold or background_alpha, got threshold={threshold} and '
                         f'background_alpha={alpha}')
    if threshold is None and alpha is None:
        threshold = test_cfg.get('threshold')
        alpha = test_cfg.get('background_alpha') if walks and threshold is None else None
    if alpha is not None:
        return dict(type='AlphaBackground', alpha=alpha)
    if threshold is None:
        raise ValueError('no threshold: give one (--threshold), the config has no model.test_cfg.threshold')
    if high is None:
        return dict(type='ConstantBackground', threshold=threshold)
    return dict(type='ConstantBackground', low=threshold, high=high)


def _crf(crf: Union[str, Mapping], post: str) -> dict:
    """Return the config of the dense CRF of the labels."""
    if not isinstance(crf, str):
        return dict(type='DenseCRF', **crf)
    _require_known('crf', crf, CRF_PRESETS)
    if post == 'crf' and crf in HARD_LABEL_CRFS:
        raise ValueError(f"crf {crf!r} is published for hard labels: use post='label-crf' (--post label-crf), or "
                         f'another of {sorted(set(CRF_PRESETS) - set(HARD_LABEL_CRFS))}')
    return dict(type='DenseCRF', preset=crf)


def _source(source: Optional[str], cams: Optional[str], first_key: Optional[int]) -> dict:
    """Return the config of the source, if one is named."""
    if cams is not None:
        key = {} if first_key is None else {'first_key': first_key}
        return dict(source=dict(type='MapFolder', folder=str(cams), **key))
    if first_key is not None:
        raise ValueError(f'first_key={first_key} (--first-key) is about saved CAMs: give their folder (--cams), too')
    if source is None:
        return {}
    types = dict(cams='CAMSource', segmentation='SegmentationSource')
    _require_known('source', source, types)
    return dict(source=dict(type=types[source]))


def _distinct(alphas: Sequence[float]) -> list[float]:
    numbers = [float(alpha) for alpha in alphas]
    if any(alpha <= 0 for alpha in numbers) or len(set(numbers)) < len(numbers):
        raise ValueError(f'crf_alphas must be positive and differ, got {numbers}')
    return numbers


def _require_known(name: str, value: str, known: Any) -> None:
    if value not in known:
        raise ValueError(f'{name} must be one of {", ".join(sorted(known))}, got {value!r}{closest(value, known)}')


def _patch_size(model: Optional[nn.Module]) -> int:
    size = getattr(getattr(model, 'backbone', None), 'patch_size', None)
    if size is None:
        raise ValueError(f"{type(model).__name__} does not say how large its patches are: give the stride of the class "
                         "maps (--cam-stride) as a number instead of 'tokens'")
    return int(max(size) if isinstance(size, (tuple, list)) else size)
