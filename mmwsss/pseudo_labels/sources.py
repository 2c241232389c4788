"""Sources of the class scores of pseudo labels: a model's CAMs, its segmentation, or a folder of saved maps."""

import hashlib
import json
import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Optional, Union

import numpy as np
import torch
from mmseg.models import BaseSegmentor
from torch import Tensor, nn

from mmwsss.datasets.map_files import read_cams
from mmwsss.evaluation import first_key_contradiction
from mmwsss.models.label_steps import LabelBatch
from mmwsss.models.utils import resize_maps, without_padding
from mmwsss.registry import TASK_UTILS
from mmwsss.utils import OutputError, first_few, path_inside
from mmwsss.utils.errors import UserError

from .folder import MANIFEST

__all__ = ['CAMSource', 'LabelSource', 'MapFolder', 'SegmentationSource', 'default_source']

_SUFFIXES = ('.npz', '.npy')
_SAMPLE = 200


class LabelSource(ABC):
    """Base class of the sources, which return the maps of the classes that an image shows.

    Attributes:
        paths (Sequence[str or PathLike]): Files and folders that are read beside the data, which nothing may overwrite.
    """

    paths: Sequence[Union[str, os.PathLike]] = ()
    uses_model: ClassVar[bool] = True
    model: nn.Module
    num_classes: int

    def bind(self, model: nn.Module, num_classes: int) -> None:
        """Set the model of the run, in eval mode, and the number C of foreground classes of the data.

        Raises:
            TypeError: The model gives no such maps.
        """
        self.model, self.num_classes = model, num_classes

    def check(self, classes: Sequence[str], image_ids: Sequence[str],  # noqa: B027
              image_labels: Optional[np.ndarray] = None) -> None:
        """Check before the run that the source has these classes and images; ``image_labels`` is (N, C) multi-hot."""

    def identity(self) -> dict[str, Any]:
        """Return all settings besides config and weights that determine the maps, as JSON values."""
        return {'type': type(self).__name__}

    @torch.no_grad()
    def __call__(self, data: dict, channels: np.ndarray, image_id: str) -> LabelBatch:
        """Compute the maps of one image.

        Args:
            data (dict): A collated batch of one image, with the decoded image in its meta information; see
                :class:`~mmwsss.datasets.transforms.KeepImage`.
            channels (np.ndarray): (P,) foreground channels that the image shows, increasing.
            image_id (str): Its id.

        Returns:
            LabelBatch: One image and its maps, without a background.

        Raises:
            ValueError: The sample has no decoded image, or model or maps and data differ in the number of classes.
        """
        data = self.model.data_preprocessor(data, False)
        inputs, sample = data['inputs'], data['data_samples'][0]
        image = sample.metainfo.get('image')
        if image is None:
            raise ValueError(f'the sample of image {image_id} lacks the decoded image: put KeepImage behind '
                             "LoadImageFromFile, and 'image' among the meta_keys of the last transform")
        image = torch.from_numpy(image).permute(2, 0, 1)[None]
        classes = torch.as_tensor(channels, device=inputs.device)
        own_inputs = without_padding(inputs, sample.metainfo)
        if len(channels):
            maps = self.maps(inputs, sample, classes, image_id)
        else:
            maps = inputs.new_zeros(1, 0, *image.shape[-2:])
        return LabelBatch.from_maps(image, maps, classes, self.num_classes, image_ids=(image_id, ), inputs=own_inputs)

    @abstractmethod
    def maps(self, inputs: Tensor, sample: Any, classes: Tensor, image_id: str) -> Tensor:
        """Compute the maps (1, P, h, w) of ``classes`` (P,).

        Args:
            inputs (Tensor): (1, 3, H, W), what the network sees, padding included.
            sample (SegDataSample): The image's meta information.
            classes (Tensor): (P,) foreground channels.
            image_id (str): The image's id.
        """

    def _check_count(self, found: int) -> None:
        if found != self.num_classes:
            raise ValueError(f'the model gives maps of {found} classes, the data set has {self.num_classes}')


@TASK_UTILS.register_module()
class CAMSource(LabelSource):
    """The class activation maps (CAMs) of a model, fused over views, in [0, 1] at the size of the image."""

    _checked = False

    def bind(self, model: nn.Module, num_classes: int) -> None:
        """See the base class."""
        super().bind(model, num_classes)
        if not hasattr(model, 'predict_cams'):
            raise TypeError(f'no pseudo labels from {type(model).__name__}: it gives no CAMs (it has no predict_cams)')

    def maps(self, inputs: Tensor, sample: Any, classes: Tensor, image_id: str) -> Tensor:
        """See the base class."""
        if not self._checked:
            self._check_count(self.model.extract_cams(inputs)['logits'].shape[1])
            self._checked = True
        cams = self.model.predict_cams(inputs, classes=classes, scored_view=None)['cams']
        return resize_maps(without_padding(cams, sample.metainfo), sample.metainfo['ori_shape'][:2])


@TASK_UTILS.register_module()
class SegmentationSource(LabelSource):
    """A segmentor's probability of each class against the background alone, at the size of the image.

    With a constant background of 0.5, the label is the most probable of background and the classes of the image.
    """

    def bind(self, model: nn.Module, num_classes: int) -> None:
        """See the base class."""
        super().bind(model, num_classes)
        if not isinstance(model, BaseSegmentor):
            raise TypeError(f'no pseudo labels from {type(model).__name__}: it is no mmseg segmentor')

    def maps(self, inputs: Tensor, sample: Any, classes: Tensor, image_id: str) -> Tensor:
        """See the base class."""
        logits = self.model.predict(inputs, [sample])[0].seg_logits.data
        self._check_count(len(logits) - 1)
        # Softmax over a class and background is the sigmoid of their difference.
        return (logits[classes + 1] - logits[:1]).float().sigmoid()[None]


@TASK_UTILS.register_module()
class MapFolder(LabelSource):
    """A folder of CAMs that were saved before, a file per image.

    The maps get the size of the network's input where the model is an AffinityNet, so that they walk there, and else
    the size of the image.

    Args:
        folder (str or PathLike): Where ``tools/make_pseudo_labels.py --save-cams`` has written, or a folder with
            ``<image id>.npz`` or ``.npy`` themselves, also of other code bases
            (see :func:`~mmwsss.datasets.map_files.read_cams`).
        first_key (int, optional): Key of the first foreground class in ``.npy`` dictionaries: 0, or 1 where key 0 is
            the background. By default 0, unless the image labels contradict it; then the folder is refused.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: ``first_key`` is neither 0 nor 1.
    """

    uses_model = False

    def __init__(self, folder: Union[str, os.PathLike], first_key: Optional[int] = None) -> None:
        if first_key not in (0, 1, None):
            raise ValueError(f'first_key must be 0 or 1, got {first_key}')
        self.first_key = first_key
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f'folder of CAMs {folder} does not exist; tools/make_pseudo_labels.py '
                                    '--save-cams makes one')
        self.directory = self.folder / 'cams' if (self.folder / 'cams').is_dir() else self.folder
        self.paths = (self.folder, )
        # A folder whose format was changed may still hold files of the former one.
        own = (self._manifest().get('outputs') or {}).get(self.directory.name)
        self._suffixes = sorted(_SUFFIXES, key=lambda suffix: suffix != f'.{own}')

    def identity(self) -> dict[str, Any]:
        """Return how the maps were made, where a manifest says so, or else the hash of all files."""
        settings = self._settings()
        if settings:
            digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        else:
            digest = hashlib.sha256()
            for path in sorted(self.directory.rglob('*')):
                if path.suffix in _SUFFIXES:
                    name = path.relative_to(self.directory)
                    digest.update(f'{name} {zlib.crc32(path.read_bytes())}'.encode())
        first_key = {'first_key': 1} if self.first_key else {}
        return {'type': type(self).__name__, 'maps': digest.hexdigest(), **first_key}

    def check(self, classes: Sequence[str], image_ids: Sequence[str],
              image_labels: Optional[np.ndarray] = None) -> None:
        """Check that the maps are of these data.

        Args:
            classes (Sequence[str]): Foreground classes of the data; compared where a manifest names those of the maps.
            image_ids (Sequence[str]): Images that need a file.
            image_labels (np.ndarray, optional): (N, C) multi-hot labels of these images; compared with the keys of the
                files of other code bases.

        Raises:
            FileNotFoundError: Some images have no file; the first few are listed.
            UserError: Key 0 looks like a background plane, and ``first_key`` is not given.
            ValueError: The classes differ.
        """
        made_for = self._settings().get('classes', list(classes))
        if made_for != list(classes):
            raise ValueError(f'the CAMs in {self.directory} are of {len(made_for)} classes '
                             f'({first_few(made_for, 3)}), the data have {len(classes)} ({first_few(classes, 3)})')
        missing = [image_id for image_id in image_ids if self._find(image_id) is None]
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of {len(image_ids)} images have no CAMs in {self.directory}: '
                f'{first_few([f"{image_id}.npz" for image_id in missing])}. Make them with tools/make_pseudo_labels.py '
                'and the model of the maps: --save-cams, and the --split of this run')
        if image_labels is not None and self.first_key is None and not self._settings():
            self._check_first_key(image_ids, image_labels)

    def _check_first_key(self, image_ids: Sequence[str], image_labels: np.ndarray) -> None:
        """Compare keys with image labels in some files, spread evenly."""
        keys, present = [], []
        for index in np.unique(np.linspace(0, len(image_ids) - 1, min(_SAMPLE, len(image_ids))).astype(int)):
            path = self._find(image_ids[index])
            if path.suffix == '.npy':
                maps, channels = read_cams(path)
                keys.append(channels[maps.any((1, 2))].tolist())
                present.append((np.flatnonzero(image_labels[index]) + 1).tolist())
        contradiction = first_key_contradiction(keys, present)
        if contradiction:
            raise UserError(f'{self.directory}: {contradiction}')

    def maps(self, inputs: Tensor, sample: Any, classes: Tensor, image_id: str) -> Tensor:
        """See the base class."""
        cams = torch.from_numpy(self.read(image_id, classes.cpu().numpy(), self.num_classes))[None]
        walks = hasattr(self.model, 'walk_cams')
        size = without_padding(inputs, sample.metainfo).shape[-2:] if walks else sample.metainfo['ori_shape'][:2]
        return resize_maps(cams, size).to(inputs.device)

    def read(self, image_id: str, channels: np.ndarray, num_classes: int) -> np.ndarray:
        """Read the maps of an image.

        Args:
            image_id (str): The image.
            channels (np.ndarray): (P,) foreground channels that are wanted.
            num_classes (int): C, foreground classes of the data.

        Returns:
            np.ndarray: (P, h, w) float32.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is damaged, lacks one of these maps, or has maps of classes that the data do not have.
        """
        path = self._find(image_id) or self.directory / f'{image_id}{_SUFFIXES[0]}'
        cams, found = read_cams(path, self.first_key or 0)
        if len(found) and found[-1] >= num_classes:
            raise ValueError(f'{path} has a map of class {found[-1] + 1}, the data have {num_classes} classes: were '
                             'the maps made for other data?')
        missing = sorted(set(channels.tolist()) - set(found.tolist()))
        if missing:
            raise ValueError(f'{path} has maps of the classes {[int(one) + 1 for one in found]}, the image labels name '
                             f'{[one + 1 for one in missing]} as well: make the maps anew with these image labels')
        return cams[np.searchsorted(found, channels)].astype(np.float32)

    def _settings(self) -> dict:
        """Return what the manifest of the folder says about the maps; nothing without one."""
        settings = self._manifest().get('settings')
        return settings if isinstance(settings, dict) else {}

    def _manifest(self) -> dict:
        """Return the manifest of the folder; nothing if there is none."""
        folder = self.directory.parent if self.directory.name == 'cams' else self.directory
        try:
            return dict(json.loads((folder / MANIFEST).read_text(encoding='utf-8')))
        except (OSError, ValueError, TypeError):
            return {}

    def _find(self, image_id: str) -> Optional[Path]:
        """Return the file of an image, if there is one."""
        try:
            paths = [path_inside(self.directory, image_id, suffix) for suffix in self._suffixes]
        except OutputError:
            return None
        return next((path for path in paths if path.is_file()), None)


def default_source(model: nn.Module) -> dict:
    """Return the default source of a model: its class activation maps, or else its segmentation.

    Args:
        model (nn.Module): The model of the run.

    Returns:
        dict: Config of the source.

    Raises:
        TypeError: The model gives neither maps nor a segmentation.
        ValueError: It is an AffinityNet, which has no maps of its own.
    """
    name = type(model).__name__
    if hasattr(model, 'walk_cams'):
        raise ValueError(f'{name} has no CAMs of its own: give maps that were saved earlier (--cams FOLDER; '
                         "source=dict(type='MapFolder', folder=...)), and let them walk (--post random-walk)")
    if hasattr(model, 'predict_cams'):
        return {'type': 'CAMSource'}
    if isinstance(model, BaseSegmentor):
        return {'type': 'SegmentationSource'}
    raise TypeError(f'no pseudo labels from {name}: it gives no CAMs (it has no predict_cams), and it is no mmseg '
                    'segmentor')
