"""Panels: maps and segmentations of models over photographs, side by side, with the masks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import cv2
import numpy as np
import torch
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmwsss.datasets.map_files import read_cams, read_label_map
from mmwsss.models.utils import resize_maps, without_padding
from mmwsss.utils import closest
from mmwsss.utils.errors import UserError

from ..overlay import overlay
from .base import ANALYSES, ModelAnalysis, Sample
from .drawing import draw_panels
from .map_quality import maps_of_present, split_words
from .map_variants import Couplings, RefinedByLayers, VariantHead, number_of_layers, unrefined_map
from .records import encode_photo, rounded

__all__ = ['CamPanels', 'SegmentationPanels']

MAP_SIDE = 96
"""int: Maps are kept in the JSON file with at most this many cells a side."""
TRUTH = 'ground truth'

Words = Union[None, str, Sequence[str]]


class PanelAnalysis(ModelAnalysis):
    """Base class of analyses that show images, a row for each or for each of its classes.

    Args:
        show: Number of images, evenly spaced over the split unless ``--images`` names them.
    """

    def __init__(self, show: int) -> None:
        self.max_images = int(show)
        self._images: list[dict] = []

    def compute(self) -> dict[str, Any]:
        """Return the images with their rows of panels."""
        return dict(images=self._images)

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw the panels of all runs side by side, and the masks once, in the last column."""
        runs = [dict(run, data=_without_truth(run['data'])) for run in record['runs'][:-1]]
        draw_panels({**record, 'runs': [*runs, record['runs'][-1]]}, path)


def _without_truth(data: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the panels of masks."""
    images = [dict(image, rows=[dict(row, panels=[panel for panel in row['panels'] if panel['title'] != TRUTH])
                                for row in image['rows']]) for image in data['images']]
    return dict(data, images=images)


@ANALYSES.register_module(name='cam-panels')
class CamPanels(PanelAnalysis):
    """Class activation maps over photographs: a row for each class that an image shows.

    Args:
        maps: Names of maps; a model shows those that it has. Besides its own: ``unrefined``, ``mean`` and ``layer_1``,
            ``layer_2``, ... (refined by the mean of layers and by one layer), or ``layers`` for all of these; and the
            couplings ``ClsAttn``, ``AttnAgg`` and ``TransCAM``.
        classes: Names of the classes that are shown; by default all that an image shows.
        folders: Folders of saved maps, ``<image id>.npy`` or ``.npz``, by name, such as those of other methods.
        show: See :class:`PanelAnalysis`.
    """

    source = ('ToCo Fig. 1, 5, 8, 9, 10; MCTformer Fig. 5; WeakTr Fig. 8, 9; AReAM Fig. 4, 8; TransCAM Fig. 1, 7')
    needs_labels = True

    def __init__(self, maps: Words = 'cams', classes: Words = None, folders: Optional[Mapping[str, str]] = None,
                 show: int = 4) -> None:
        super().__init__(show)
        self.maps, self.classes, self.folders = split_words(maps), split_words(classes), dict(folders or {})

    def process(self, model: nn.Module, sample: Sample) -> None:
        """Compute the maps of an image."""
        if not hasattr(model, 'predict_cams'):
            raise UserError(f'{type(model).__name__} gives no class activation maps')
        found = {name: value[0] for name, value in self._maps(model, sample).items()}
        for name, folder in self.folders.items():
            found[name] = _saved_maps(Path(folder), sample)
        rows = []
        for place, index in enumerate(sample.present):
            name = sample.classes[index] if sample.classes else str(index)
            if self.classes is None or name in self.classes:
                panels = [dict(title=title, map=_small(maps[place]), style='overlay') for title, maps in found.items()]
                rows.append(dict(name=name, panels=[*panels, *_truth(sample, index + 1)]))
        self._images.append(dict(id=sample.image_id, photo=encode_photo(sample.photo), rows=rows))

    def _maps(self, model: nn.Module, sample: Sample) -> dict[str, Tensor]:
        """Compute the maps (1, P, H, W) that the model can give, in the order of their names."""
        own = [name for name in self.maps if name in model.cam_head.map_names]
        found = maps_of_present(model, sample, model.cam_head, own) if own else {}
        if set(self.maps) - set(own) and getattr(model.backbone, 'num_layers', None):
            base, count = unrefined_map(model.cam_head), number_of_layers(model)
            layers = {f'layer_{index + 1}': (index, ) for index in range(count)}
            sets = {'unrefined': (), **layers, 'mean': range(count)}
            wanted = list(sets) if 'layers' in self.maps else [name for name in self.maps if name in sets]
            refined = VariantHead(model.cam_head, base, RefinedByLayers({name: sets[name] for name in wanted}))
            coupled = VariantHead(model.cam_head, base, Couplings())
            for head, names in ((refined, wanted), (coupled, [name for name in Couplings.names if name in self.maps])):
                names = [name for name in names if name not in found]
                found.update(maps_of_present(model, sample, head, names) if names else {})
        if not found and not self.folders:
            known = model.cam_head.map_names
            raise UserError(f'the model has none of the maps {", ".join(self.maps)}{closest(self.maps[0], known)}; its '
                            f'maps are {", ".join(known)}')
        order = {name: place for place, name in enumerate(self.maps)}
        return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))


@ANALYSES.register_module(name='segmentation-panels')
class SegmentationPanels(PanelAnalysis):
    """Segmentations over photographs, a column for each model and for each folder of label maps.

    Segmentors predict at one scale; of a CAM model, the classes that the image shows compete, as in pseudo labels that
    are not refined. Predictions of several scales with a dense CRF come from a folder, which ``test.py
    --tta --out`` writes.

    Args:
        folders: Folders of label maps, ``<image id>.png``, by name.
        show: See :class:`PanelAnalysis`.
    """

    source = 'ToCo Fig. 6, 11; MCTformer Fig. 4; WeakTr Fig. 10, 11; AReAM Fig. 9; TransCAM Fig. 5'

    def __init__(self, folders: Optional[Mapping[str, str]] = None, show: int = 4) -> None:
        super().__init__(show)
        self.folders = dict(folders or {})

    def process(self, model: nn.Module, sample: Sample) -> None:
        """Segment an image."""
        labels = {'prediction': self._predict(model, sample)}
        for name, folder in self.folders.items():
            labels[name] = read_label_map(Path(folder) / f'{sample.image_id}.png')
        classes = ('background', *sample.classes)
        panels = [dict(title=name, photo=_drawn(sample, found, classes)) for name, found in labels.items()]
        rows = [dict(name='', panels=[*panels, *_truth(sample)])]
        self._images.append(dict(id=sample.image_id, photo=encode_photo(sample.photo), rows=rows))

    def _predict(self, model: nn.Module, sample: Sample) -> np.ndarray:
        """Return the label map (H, W) of an image; that of a CAM model is made of the classes that the image shows."""
        if hasattr(model, 'decode_head') or sample.image_labels is None:
            predicted = model.predict(sample.inputs, [SegDataSample(metainfo=sample.metainfo)])[0]
            return predicted.pred_sem_seg.data[0].cpu().numpy()
        if not sample.present:
            return np.zeros(sample.metainfo['ori_shape'], np.uint8)
        name = model.map_names[0]
        maps = without_padding(maps_of_present(model, sample, model.cam_head, [name])[name], sample.metainfo)
        maps = resize_maps(maps, sample.metainfo['ori_shape'])
        scores, winners = maps[0].max(dim=0)
        values = torch.tensor(sample.present, device=maps.device)[winners] + 1
        threshold = (getattr(model, 'test_cfg', None) or {}).get('threshold', .5)
        return torch.where(scores > threshold, values, 0).cpu().numpy()


def _small(maps: Tensor) -> list:
    """Return a map (H, W) with at most :data:`MAP_SIDE` cells a side, as nested lists."""
    scale = min(MAP_SIDE / max(maps.shape), 1)
    size = [max(round(side * scale), 1) for side in maps.shape]
    return rounded(resize_maps(maps[None, None].float(), size)[0, 0], 3)


def _truth(sample: Sample, value: Optional[int] = None) -> list[dict]:
    """Return the panel of the mask, or of one of its values; nothing without a mask."""
    if sample.mask is None:
        return []
    mask = sample.mask.cpu().numpy()
    mask = mask if value is None else np.where(mask == value, value, 0)
    return [dict(title=TRUTH, photo=_drawn(sample, mask, ('background', *sample.classes)))]


def _drawn(sample: Sample, labels: np.ndarray, classes: Sequence[str]) -> str:
    """Draw a label map over the photograph, which is brought to its size; return it as text."""
    photo = cv2.resize(sample.photo, labels.shape[::-1], interpolation=cv2.INTER_AREA)
    return encode_photo(overlay(photo, labels.astype(np.int64), classes))


def _saved_maps(folder: Path, sample: Sample) -> Tensor:
    """Read the maps (P, h, w) of the classes that an image shows, zeros where one is not saved."""
    files = [folder / f'{sample.image_id}{suffix}' for suffix in ('.npy', '.npz')]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise FileNotFoundError(f'no {files[0]} and no {files[1].name}')
    maps, keys = read_cams(file)
    known = {int(key): torch.from_numpy(np.asarray(plane, np.float32)) for key, plane in zip(keys, maps)}
    empty = torch.zeros(maps.shape[1:])
    return torch.stack([known.get(index, empty) for index in sample.present])
