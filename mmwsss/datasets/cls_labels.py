"""Read the pickled dictionaries of label vectors that WSSS projects share (``cls_labels*.npy``)."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from mmwsss.checkpoints import load_pickled_npy
from mmwsss.utils import check_image_id

from .class_names import read_class_names

__all__ = ['read_cls_labels']

_VOC_NUMBER = re.compile(r'(20\d\d)(\d{6})')


def read_cls_labels(path: Union[str, os.PathLike], classes: Sequence[str],
                    id_format: Optional[str] = None) -> dict[str, list[str]]:
    """Read ``cls_labels.npy`` or ``cls_labels_onehot.npy``: a pickled dictionary of image id -> vector.

    Only arrays and plain containers are unpickled; no code is run.

    Args:
        path (str or PathLike): The ``.npy`` file.
        classes (Sequence[str]): The C foreground classes, in the order of the vectors.
        id_format (str, optional): Format that turns an integer key into an image id, for instance
            ``COCO_train2014_{:012d}``. None reads VOC's numbers: 2007000032 is ``2007_000032``.

    Returns:
        dict[str, list[str]]: Image id -> names of the classes whose entry is 1.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file does not hold a dictionary of 0/1 vectors of length C, or a key is not an image id; the
            first offending entries are listed.
    """
    path = Path(path)
    classes = read_class_names(classes)
    table = load_pickled_npy(path)
    if not isinstance(table, dict) or not table:
        raise ValueError(f'{path} must hold a pickled dict of image id -> vector, got {type(table).__name__}')
    labels, offenders = {}, []
    for key, vector in table.items():
        try:
            image_id = check_image_id(_image_id(key, id_format))
            names = _names(vector, classes)
        except ValueError as error:
            offenders.append(f'{key!r}: {error}')
            continue
        if image_id in labels:
            offenders.append(f'{key!r}: another entry has the same image id {image_id!r}')
        labels[image_id] = names
    if offenders:
        raise ValueError(f'{len(offenders)} of {len(table)} entries of {path} are not image labels: '
                         f'{"; ".join(offenders[:3])}')
    return labels


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
