"""Image-level labels from the pickled dictionaries that WSSS projects pass around."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from mmwsss.checkpoints import load_pickled_npy
from mmwsss.utils import first_few

from ..class_names import read_class_names
from ..image_labels import ImageLabels

__all__ = ['labels_from_npy']

_VOC_NUMBER = re.compile(r'(20\d\d)(\d{6})')


def labels_from_npy(path: Union[str, os.PathLike], classes: Sequence[str],
                    ids: Optional[Sequence[str]] = None,
                    id_format: Optional[str] = None) -> ImageLabels:
    """Read ``cls_labels.npy`` or ``cls_labels_onehot.npy``: a pickled dict id -> vector.

    Only arrays and plain containers are unpickled, never code.

    Args:
        path (str or PathLike): The ``.npy`` file.
        classes (Sequence[str]): The C foreground classes, in the order of the vectors.
        ids (Sequence[str], optional): Keep these images only.
        id_format (str, optional): Format that turns an integer key into an image id, for instance
            ``COCO_train2014_{:012d}``. None knows VOC's: 2007000032 is ``2007_000032``.

    Returns:
        ImageLabels: One entry per image.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds anything but a dict of 0/1 vectors of length C, or a key that is
            no image id; the first offenders are listed.
    """
    path = Path(path)
    classes = read_class_names(classes)
    table = load_pickled_npy(path)
    if not isinstance(table, dict) or not table:
        raise ValueError(f'{path} must hold a pickled dict of image id -> vector, '
                         f'got {type(table).__name__}')
    labels, offenders = {}, []
    for key, vector in table.items():
        try:
            labels[_image_id(key, id_format)] = _names(vector, classes)
        except ValueError as error:
            offenders.append(f'{key!r}: {error}')
    if offenders:
        raise ValueError(f'{len(offenders)} of {len(table)} entries of {path} are not image '
                         f'labels: {"; ".join(offenders[:3])}')
    loaded = ImageLabels(classes, labels, dict(kind='npy', path=str(path)))
    if ids is None:
        return loaded
    absent = [image_id for image_id in ids if image_id not in labels]
    if absent:
        raise ValueError(f'{len(absent)} of {len(ids)} images have no entry in {path}: '
                         f'{first_few(absent)}; its ids look like {first_few(labels, 2)}')
    return loaded.subset(ids)


def _image_id(key: Any, id_format: Optional[str]) -> str:
    """Turn a key of the dictionary into an image id."""
    if isinstance(key, bytes):
        return key.decode('latin1')
    if isinstance(key, str):
        return key
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        if id_format is not None:
            return id_format.format(int(key))
        voc = _VOC_NUMBER.fullmatch(str(int(key)))
        if voc:
            return '_'.join(voc.groups())
        raise ValueError('an integer key that is no VOC number needs an id format such as '
                         'COCO_train2014_{:012d}')
    raise ValueError(f'keys must be str or int, got {type(key).__name__}')


def _names(vector: Any, classes: Sequence[str]) -> list[str]:
    """Return the classes whose entry is 1."""
    vector = np.asarray(vector)
    if vector.shape != (len(classes), ):
        hint = (' (it seems to count the background)' if vector.shape == (len(classes) + 1, )
                else '')
        raise ValueError(f'expected a vector of {len(classes)} classes, got the shape '
                         f'{vector.shape}{hint}')
    if vector.dtype.kind not in 'buif' or not np.isin(vector, (0, 1)).all():
        raise ValueError('entries must be 0 or 1')
    return [name for name, present in zip(classes, vector) if present]
