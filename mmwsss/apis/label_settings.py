"""How class maps become pseudo labels: the settings, checked, and what a config says about them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Optional, Union

from mmseg.models import BaseSegmentor
from torch import nn

from mmwsss.models.refiners.dense_crf import CRF_PRESETS

__all__ = ['LabelSettings']

POSTS = ('none', 'par', 'crf', 'label-crf', 'random-walk', 'random-walk-crf')
WALKS = ('random-walk', 'random-walk-crf')
SOURCES = ('cams', 'segmentation')
DEFAULT_CRF = {'crf': 'mctformer_cam', 'label-crf': 'weaktr_label_voc', 'random-walk-crf': 'transcam_label'}
LABEL_CRFS = ('label-crf', 'random-walk-crf')
ALPHA_CRF = 'mctformer_cam'
HARD_LABEL_CRFS = {'weaktr_label_voc': 'present', 'weaktr_label_coco': 'present', 'transcam_label': 'all'}
"""Published settings for hard labels, and which classes take part as labels."""


@dataclass(frozen=True)
class LabelSettings:
    """How class maps become pseudo labels.

    Args:
        threshold (float, optional): Background score: a pixel is foreground where a present class exceeds it. None
            only with ``background_alpha``.
        high (float, optional): A second, larger background score. Foreground must exceed it; background is
            what does not exceed ``threshold``; pixels between are 255.
        post (str): ``'none'``; ``'par'``: pixel-adaptive refinement; ``'crf'``: dense CRF. Each refines the
            maps of present classes beside a constant background plane at the threshold. ``'label-crf'``: the dense
            CRF sees hard labels, each 0.7 probable (WeakTr, TransCAM). ``'random-walk'``: maps that were saved earlier
            walk along the affinities of an AffinityNet, beside a background plane; ``'random-walk-crf'``: a
            ``'label-crf'`` after it (TransCAM).
        crf (str or dict, optional): Name in :data:`~mmwsss.models.refiners.dense_crf.CRF_PRESETS` or arguments
            of :class:`~mmwsss.models.DenseCRF`. Defaults to ``'mctformer_cam'``, of hard labels to
            ``'weaktr_label_voc'``, where a CRF is asked for.
        crf_classes (str, optional): With ``'label-crf'``: over which labels the remaining 0.3 is spread, those of
            the ``'present'`` classes and background, or ``'all'``. By default as in the publication of ``crf``.
        save_cams (bool): Write the class maps too.
        crf_alphas (Sequence[float]): For each alpha, also write the CRF's marginals of the maps beside a background
            of ``(1 - max map) ** alpha``, for AffinityNet (PSA, CVPR 2018; MCTformer takes 1 and 12).
        cam_stride (int or str): Store maps at this fraction of the image's size; ``'tokens'``: the model's patch.
        cam_format (str): ``'npz'``, compressed in half precision, or ``'npy'``, the pickled dictionaries that other
            code bases read.
        source (str, optional): ``'cams'``, or ``'segmentation'``: the probability of each class against the
            background alone, so that a threshold of 0.5 gives the most probable label. By default what the model has,
            CAMs first.
        crf_stride (int): Run dense CRFs at this fraction of the image's size; see :class:`~mmwsss.models.DenseCRF`.
        background_alpha (float, optional): With a random walk: the background that walks with the maps is
            ``(1 - max map) ** background_alpha`` (PSA, CVPR 2018, Eq. 2) in place of the constant ``threshold``.

    Raises:
        ValueError: A threshold is outside [0, 1], ``high`` is below ``threshold``, a name is unknown, the CRF does
            not fit ``post``, an alpha or a stride is not positive, or a setting does not go with a random walk.
    """

    threshold: Optional[float]
    high: Optional[float] = None
    post: str = 'none'
    crf: Union[str, dict, None] = None
    crf_classes: Optional[str] = None
    save_cams: bool = False
    crf_alphas: tuple[float, ...] = ()
    cam_stride: Union[int, str] = 1
    cam_format: str = 'npz'
    source: Optional[str] = None
    crf_stride: int = 1
    background_alpha: Optional[float] = None

    def __post_init__(self) -> None:
        _require('post', self.post, POSTS)
        self._check_walk()
        if self.threshold is not None and not 0 <= self.threshold <= (1 if self.high is None else self.high) <= 1:
            raise ValueError('thresholds must be in [0, 1] and high not below threshold, got '
                             f'threshold={self.threshold} and high={self.high}')
        _require('crf_classes', self.crf_classes, (None, 'present', 'all'))
        _require('cam_format', self.cam_format, ('npz', 'npy'))
        _require('source', self.source, (None, *SOURCES))
        if self.cam_stride != 'tokens' and not (isinstance(self.cam_stride, int) and self.cam_stride >= 1):
            raise ValueError(f"cam_stride must be 1 or more, or 'tokens', got {self.cam_stride!r}")
        if not (isinstance(self.crf_stride, int) and self.crf_stride >= 1):
            raise ValueError(f'crf_stride must be 1 or more, got {self.crf_stride!r}')
        alphas = tuple(float(alpha) for alpha in self.crf_alphas)
        if any(alpha <= 0 for alpha in alphas) or len(set(alphas)) < len(alphas):
            raise ValueError(f'crf_alphas must be positive and differ, got {self.crf_alphas}')
        object.__setattr__(self, 'crf_alphas', alphas)
        crf, classes = _resolved_crf(self.post, self.crf, self.crf_classes)
        object.__setattr__(self, 'crf', crf)
        object.__setattr__(self, 'crf_classes', classes)

    @classmethod
    def from_config(cls, test_cfg: Optional[Mapping], **given: Any) -> 'LabelSettings':
        """Complete settings with what a model's config says.

        Args:
            test_cfg (Mapping, optional): The model's ``test_cfg``: ``threshold`` and ``pseudo_label_crf`` stand in for
                a ``threshold`` and, with a CRF as ``post``, a ``crf`` that are not given; ``background_alpha``, of a
                random walk, for a ``threshold`` that neither has.
            **given: Arguments of the class; None is as good as not given.

        Raises:
            ValueError: Nothing gives a threshold, or a setting is wrong.
        """
        test_cfg = test_cfg or {}
        given = {key: value for key, value in given.items() if value is not None}
        given.setdefault('threshold', test_cfg.get('threshold'))
        if given['threshold'] is None and given.get('post') in WALKS:
            given.setdefault('background_alpha', test_cfg.get('background_alpha'))
        if given['threshold'] is None and given.get('background_alpha') is None:
            raise ValueError('no threshold: give one (--threshold), the config has no model.test_cfg.threshold')
        if given.get('post') in DEFAULT_CRF:
            given.setdefault('crf', test_cfg.get('pseudo_label_crf'))
        return cls(**given)

    @property
    def map_folders(self) -> dict[str, Optional[float]]:
        """Folders of class maps beside the label maps, and the alpha of each: none for ``cams``."""
        alphas = {f'crf_{alpha:g}': alpha for alpha in self.crf_alphas}
        return {'cams': None, **alphas} if self.save_cams else alphas

    @property
    def runs_crf(self) -> bool:
        """Whether a dense CRF is part of the work."""
        return bool(self.crf or self.crf_alphas)

    @property
    def walks(self) -> bool:
        """Whether maps that were saved earlier walk along affinities."""
        return self.post in WALKS

    def for_model(self, model: nn.Module) -> 'LabelSettings':
        """Fill in what depends on the model: ``source`` and a ``cam_stride`` of ``'tokens'``.

        Raises:
            TypeError: The model gives no such maps.
            ValueError: It does not say how large its patches are, or it is an AffinityNet where no random walk is
                asked for, or the other way round.
        """
        name, gives_walks = type(model).__name__, hasattr(model, 'walk_cams')
        if self.walks != gives_walks:
            raise ValueError(
                f"{name} has no class maps of its own: give post='random-walk' (--post random-walk) and maps that were "
                'saved earlier (--cams FOLDER)' if gives_walks else
                f'post={self.post!r} needs an AffinityNet (configs/psa) and its checkpoint, {name} is none; the maps '
                'of this model are made with --save-cams, and walk with --cams')
        if self.walks:
            return self
        return replace(self, source=_source_of(model, self.source),
                       cam_stride=_patch_size(model) if self.cam_stride == 'tokens' else self.cam_stride)

    def as_dict(self) -> dict:
        """Plain values, for the manifest."""
        found = {**asdict(self), 'crf_alphas': list(self.crf_alphas)}
        # Folders made before there were such settings stay valid.
        unset = dict(background_alpha=None, crf_stride=1)
        return {key: value for key, value in found.items() if key not in unset or value != unset[key]}

    def _check_walk(self) -> None:
        """Refuse what does not go together."""
        if not self.walks and (self.threshold is None or self.background_alpha is not None):
            raise ValueError('background_alpha stands for a threshold with a random walk only, got '
                             f'post={self.post!r}, threshold={self.threshold}, '
                             f'background_alpha={self.background_alpha}')
        if not self.walks:
            return
        if (self.threshold is None) == (self.background_alpha is None):
            raise ValueError('a random walk has one background, a threshold or background_alpha, got '
                             f'threshold={self.threshold} and background_alpha={self.background_alpha}')
        if self.background_alpha is not None and not self.background_alpha > 0:
            raise ValueError(f'background_alpha must be positive, got {self.background_alpha}')
        others = dict(high=self.high, save_cams=self.save_cams, crf_alphas=self.crf_alphas, source=self.source)
        wrong = [name for name, value in others.items() if value]
        if wrong:
            raise ValueError(f'a random walk gives one label map and nothing else: leave out {", ".join(wrong)}')


def _require(name: str, value: Any, allowed: tuple) -> None:
    if value not in allowed:
        raise ValueError(f'{name} must be one of {allowed}, got {value!r}')


def _resolved_crf(post: str, crf: Union[str, Mapping, None],
                  classes: Optional[str]) -> tuple[Optional[dict], Optional[str]]:
    """Arguments of the CRF of the labels, and over which classes hard labels are spread; None where there is none."""
    crf = crf or DEFAULT_CRF.get(post)
    if isinstance(crf, str):
        _require('crf', crf, tuple(sorted(CRF_PRESETS)))
        if post == 'crf' and crf in HARD_LABEL_CRFS:
            raise ValueError(f"crf {crf!r} is published for hard labels: use post='label-crf' (--post label-crf), or "
                             f'another of {sorted(set(CRF_PRESETS) - set(HARD_LABEL_CRFS))}')
    if post not in DEFAULT_CRF:
        return None, None
    spread = None
    if post in LABEL_CRFS:
        spread = classes or (HARD_LABEL_CRFS.get(crf, 'present') if isinstance(crf, str) else 'present')
    return dict(CRF_PRESETS[crf] if isinstance(crf, str) else crf), spread


def _source_of(model: nn.Module, source: Optional[str]) -> str:
    """The source that is asked for, or the first that the model has."""
    lacks = {}
    if not hasattr(model, 'predict_cams'):
        lacks['cams'] = 'it gives no CAMs (it has no predict_cams)'
    if not isinstance(model, BaseSegmentor):
        lacks['segmentation'] = 'it is no mmseg segmentor'
    for name in SOURCES if source is None else (source, ):
        if name not in lacks:
            return name
    reasons = lacks.values() if source is None else (lacks[source], )
    raise TypeError(f'no pseudo labels from {type(model).__name__}: {", ".join(reasons)}')


def _patch_size(model: nn.Module) -> int:
    size = getattr(getattr(model, 'backbone', None), 'patch_size', None)
    if size is None:
        raise ValueError(f"{type(model).__name__} does not say how large its patches are: give cam_stride as a number "
                         "instead of 'tokens'")
    return int(max(size) if isinstance(size, (tuple, list)) else size)
