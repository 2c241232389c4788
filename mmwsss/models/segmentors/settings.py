"""What ``train_cfg`` and ``test_cfg`` of the models may contain."""

from collections.abc import Mapping
from typing import Any, Optional

from mmwsss.utils.settings import (
    Setting,
    SettingsTable,
    anything,
    choice,
    each,
    flag,
    in_order,
    names,
    nested,
    number,
    numbers,
    one_of_kinds,
)

from ..label_steps import CRF_PRESETS
from ..utils import MAX_LOG2_STEPS

__all__ = [
    'AFFINITY_TEST', 'CAM_TEST', 'DEEPLAB_TEST', 'DEEPLAB_TRAIN', 'DUPL_TEST', 'DUPL_TRAIN', 'FUSION', 'NOTHING',
    'SEGMENTOR_TEST', 'TOCO_TEST', 'TOCO_TRAIN', 'check_settings'
]


def check_settings(model: Any, train_cfg: Optional[Mapping], test_cfg: Optional[Mapping]) -> None:
    """Check the settings of a model when it is built.

    Args:
        model (Any): Its class has ``train_settings`` and ``test_settings``, a :class:`SettingsTable` each. A subclass
            with further settings overrides them.
        train_cfg (Mapping, optional): Settings of training.
        test_cfg (Mapping, optional): Settings of inference.

    Raises:
        UserError: A key is unknown, a value is not allowed, or a setting is missing.
    """
    name = type(model).__name__
    model.train_settings.check(f'train_cfg of {name}', train_cfg)
    model.test_settings.check(f'test_cfg of {name}', test_cfg)


def _slides(given: Mapping) -> Optional[str]:
    """Check the settings of sliding windows."""
    if given.get('mode') != 'slide':
        return None
    if not (given.get('crop_size') and given.get('stride')):
        return "mode='slide' needs crop_size and stride"
    gaps = any(step > side for step, side in zip(given['stride'], given['crop_size']))
    return 'stride must not be above crop_size: pixels between the windows would have no prediction' if gaps else None


def _are_sizes(value: Any) -> bool:
    """Return whether a value is a list of (height, width), or None."""
    pair = numbers(1, whole=True, count=2)
    return value is None or (isinstance(value, (list, tuple)) and len(value) > 0 and all(map(pair.accepts, value)))


def _are_indices(value: Any) -> bool:
    """Return whether a value is a list of indices, which may be empty."""
    return isinstance(value, (list, tuple)) and all(map(number(0, whole=True).accepts, value))


def _weights_of(*terms: str) -> Setting:
    """Return the setting of a dictionary that has a weight for each of some terms, and only weights."""
    def accepts(value: Any) -> bool:
        return isinstance(value, Mapping) and set(terms) <= set(value) and all(map(number(0).accepts, value.values()))

    return Setting(f'a dictionary with a number of 0 or more for each of {", ".join(terms)} and the scores', accepts,
                   required=True)


def _falls(given: Mapping) -> Optional[str]:
    """Check that DuPL's high threshold falls, and not below the low one."""
    final = given.get('final_high', given['high'])
    if not given['low'] <= final <= given['high']:
        return f'final_high ({final}) must be between low ({given["low"]}) and high ({given["high"]})'
    begin, end = given.get('high_decay', (0, 1))
    return None if begin < end else f'high_decay must be [first, last] with first < last, got {[begin, end]}'


FUSION = SettingsTable(dict(
    scales=numbers(0, above=True),
    flip=flag(),
    flip_fusion=choice('max', 'mean', 'sum'),
    scale_fusion=choice('max', 'mean', 'sum')))
"""SettingsTable: How views are made and fused."""

_VIEWS = SettingsTable(dict(
    FUSION.entries,
    sizes=Setting('a list of (height, width) or None', _are_sizes),
    divisor=number(1, whole=True),
    rounding=choice('down', 'nearest'),
    pad_divisor=number(1, whole=True),
    mirror_padded=flag(),
    interpolation=choice('bilinear', 'bicubic'),
    relu=flag(),
    normalize=choice('max', 'minmax', 'relu_minmax', 'shifted_minmax'),
    eps=number(0)))

_LABELS = dict(
    threshold=number(0, 1, none=True),
    pseudo_label_par=one_of_kinds('None or a dictionary', Mapping, type(None)),
    pseudo_label_crf=one_of_kinds(f'None, a dictionary, or one of {", ".join(sorted(CRF_PRESETS))}', str, Mapping,
                                  type(None), known=CRF_PRESETS))

_WINDOWS = dict(
    mode=choice('whole', 'slide'),
    crop_size=numbers(1, whole=True, count=2, none=True),
    stride=numbers(1, whole=True, count=2, none=True))

NOTHING = SettingsTable({})
"""SettingsTable: Of a ``train_cfg`` that is not used."""

CAM_TEST = SettingsTable(
    dict(_LABELS, cams=nested(_VIEWS), map_names=names(), steps=anything()),
    renamed={'refiner': "steps=[dict(type='Downscale'), dict(type='PixelAdaptiveRefinement', keep_scale=True)]"})
"""SettingsTable: ``test_cfg`` of :class:`CAMClassifier`."""

TOCO_TEST = SettingsTable(dict(_LABELS, **_WINDOWS, cams=nested(_VIEWS, none=True), map_names=names()), [_slides])
"""SettingsTable: ``test_cfg`` of :class:`ToCo`."""


def _single_stage(*terms: str) -> dict[str, Setting]:
    """Return the settings of the training of a single-stage model whose loss has these terms beside the scores."""
    return dict(
        cams=nested(_VIEWS, required=True),
        low=number(0, 1, required=True),
        high=number(0, 1, required=True),
        no_grad_dtype=Setting("'bfloat16', 'float16' or None", ('bfloat16', 'float16', None).__contains__),
        loss_weights=_weights_of(*terms),
        phases=each(SettingsTable(dict(begin=number(0, whole=True, required=True), off=names())), required=True),
        aux_map=one_of_kinds('the name of a map', str),
        final_cam_begin=number(0, whole=True),
        ptc_box=choice('reference', 'scaled'))


TOCO_TRAIN = SettingsTable(
    dict(
        _single_stage('ptc', 'ctc', 'seg', 'reg'),
        ema_momentum=number(0, 1),
        accumulative_counts=number(1, whole=True),
        num_local_crops=number(0, whole=True),
        local_crop_size=number(1, whole=True),
        local_min_foreground=number(0, 1)),
    [in_order('low', 'high')])
"""SettingsTable: ``train_cfg`` of :class:`ToCo`."""

DUPL_TEST = SettingsTable(dict(TOCO_TEST.entries, student=choice('first', 'second')), TOCO_TEST.rules)
"""SettingsTable: ``test_cfg`` of :class:`DuPL`."""

DUPL_TRAIN = SettingsTable(
    dict(
        _single_stage('ptc', 'dis', 'seg', 'reg'),
        final_high=number(0, 1),
        high_kept=Setting('a list of integers of 0 or more, the indices of classes', _are_indices),
        high_decay=numbers(0, whole=True, count=2),
        noise_filter_begin=number(0, whole=True),
        perturbed_scale=number(0, above=True)),
    [in_order('low', 'high'), _falls])
"""SettingsTable: ``train_cfg`` of :class:`DuPL`."""

AFFINITY_TEST = SettingsTable(dict(
    _LABELS,
    beta=number(0),
    log2_steps=number(0, MAX_LOG2_STEPS, whole=True),
    shrink_radius=flag(),
    background_alpha=number(0, above=True, none=True)))
"""SettingsTable: ``test_cfg`` of :class:`AffinityNet`."""

SEGMENTOR_TEST = SettingsTable(_WINDOWS, [_slides])
"""SettingsTable: ``test_cfg`` of models that segment as mmseg's ``EncoderDecoder`` does."""

DEEPLAB_TEST = SettingsTable(dict(_WINDOWS, scales=numbers(0, above=True, none=True)), [_slides])
"""SettingsTable: ``test_cfg`` of :class:`DeepLabV2`."""

DEEPLAB_TRAIN = SettingsTable(dict(scales=numbers(0, above=True, required=True)))
"""SettingsTable: ``train_cfg`` of :class:`DeepLabV2`."""
