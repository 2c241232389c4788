"""Image-level labels: which classes are in an image, without their location."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from mmwsss.utils import check_image_id, closest, first_few, read_json, write_json

from .class_names import read_class_names
from .cls_labels import read_cls_labels

__all__ = ['ImageLabels', 'ImageLabelSummary']


@dataclass(frozen=True)
class ImageLabelSummary:
    """Counts over a set of image labels.

    Attributes:
        num_images (int): Images in the set.
        num_labels (int): Labels in all, over all images.
        without_label (tuple[str, ...]): Ids of the images that show no class.
        images_per_class (dict[str, int]): Class -> number of images showing it.
    """

    num_images: int
    num_labels: int
    without_label: tuple[str, ...]
    images_per_class: dict[str, int]

    @property
    def labels_per_image(self) -> float:
        """Mean number of classes per image (0 for an empty set)."""
        return self.num_labels / max(self.num_images, 1)

    @property
    def classes_without_image(self) -> tuple[str, ...]:
        """Classes that no image shows."""
        return tuple(name for name, count in self.images_per_class.items() if count == 0)


@dataclass(frozen=True)
class ImageLabels:
    """Image-level labels: the classes in each image of a set.

    On disk this is JSON, the canonical format of the package::

        {"classes": ["cat", "dog"], "labels": {"photo_1": ["cat"], "sub/photo_2": []}, "source": {}}

    Args:
        classes (Sequence[str]): Foreground classes, in the order of the multi-hot vectors.
        labels (Mapping[str, Iterable[str]]): Image id (path relative to the image folder, without
            suffix) -> names of the classes in it. Repetitions are dropped, the order becomes that
            of ``classes``.
        source (Mapping, optional): Where the labels come from; kept on disk, not interpreted.

    Raises:
        ValueError: A name is no image id (see :func:`~mmwsss.utils.check_image_id`), class names are not in
            ``classes`` (the first few are listed with the image), a class occurs twice, or there is no class at all.

    Examples:
        >>> labels = ImageLabels(('cat', 'dog'), {'a': ['dog'], 'b': []})
        >>> labels.to_multi_hot('a').tolist()
        [0.0, 1.0]
    """

    classes: tuple[str, ...]
    labels: dict[str, tuple[str, ...]]
    source: dict = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        classes = read_class_names(tuple(self.classes))
        order = {name: k for k, name in enumerate(classes)}
        _refuse_unknown(self.labels, classes, order)
        labels = {
            check_image_id(image_id): tuple(sorted(set(names), key=order.__getitem__))
            for image_id, names in self.labels.items()
        }
        object.__setattr__(self, 'classes', classes)
        object.__setattr__(self, 'labels', labels)
        object.__setattr__(self, 'source', dict(self.source or {}))

    def __len__(self) -> int:
        return len(self.labels)

    def __contains__(self, image_id: str) -> bool:
        return image_id in self.labels

    @classmethod
    def load(cls, path: Union[str, os.PathLike],
             classes: Optional[Sequence[str]] = None) -> 'ImageLabels':
        """Read canonical JSON, or a pickled ``cls_labels*.npy`` as other WSSS projects use it.

        Args:
            path (str or PathLike): ``*.json``, or ``*.npy`` (see
                :func:`mmwsss.datasets.labels_from_npy`; never unpickles code).
            classes (Sequence[str], optional): Foreground classes in the order of the vectors; an
                ``.npy`` names none, so it needs them. For JSON they are not needed and not used.

        Returns:
            ImageLabels: The labels.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is not of either format; the message says which tool converts.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f'label file {path} does not exist; tools/dataset_converters/image_labels.py makes '
                'one from masks, VOC XML, COCO JSON, a table of tags or a folder per class')
        if path.suffix == '.npy':
            if classes is None:
                raise ValueError(f'{path} holds vectors without class names: give classes')
            return cls(tuple(classes), read_cls_labels(path, classes), dict(kind='npy', path=str(path)))
        return cls._from_json(read_json(path, 'label file'), path)

    @classmethod
    def _from_json(cls, data: Any, path: Path) -> 'ImageLabels':
        """Check the layout of parsed JSON and build the labels from it."""
        well_formed = (
            isinstance(data, dict) and isinstance(data.get('classes'), list)
            and isinstance(data.get('labels'), dict)
            and all(isinstance(names, list) for names in data['labels'].values()))
        if not well_formed:
            raise ValueError(
                f'label file {path} must be {{"classes": [...], "labels": {{image id: [class '
                'names]}}; convert other layouts with tools/dataset_converters/image_labels.py '
                f'table {path} --out labels.json')
        for image_id, names in data['labels'].items():
            wrong = [name for name in names if not isinstance(name, str)]
            if wrong:
                raise ValueError(f'label file {path}: image {image_id!r} has the label {wrong[0]!r}; labels are names '
                                 'of classes, as text')
        try:
            return cls(tuple(data['classes']), data['labels'], data.get('source') or {})
        except ValueError as error:
            raise ValueError(f'label file {path}: {error}') from error

    def save(self, path: Union[str, os.PathLike]) -> None:
        """Write canonical JSON, whole or not at all.

        Args:
            path (str or PathLike): The ``*.json`` to write.
        """
        labels = {image_id: list(names) for image_id, names in self.labels.items()}
        data = dict(classes=list(self.classes), labels=labels, source=self.source)
        write_json(data, path, indent=None)

    def to_multi_hot(self, image_id: str) -> np.ndarray:
        """Return the labels of one image as a vector.

        Args:
            image_id (str): The image.

        Returns:
            ndarray: Float32 (C,), 1 where the class is shown, 0 elsewhere.

        Raises:
            KeyError: The image has no labels.
        """
        if image_id not in self.labels:
            raise KeyError(f'no labels for image {image_id!r}{closest(image_id, self.labels)}')
        present = set(self.labels[image_id])
        return np.array([name in present for name in self.classes], dtype=np.float32)

    def multi_hot_matrix(self, ids: Sequence[str], classes: Sequence[str],
                         ignored: Iterable[str] = ()) -> np.ndarray:
        """Return the labels of several images in the class order of a data set.

        Args:
            ids (Sequence[str]): N images, all of which must have labels (possibly none shown).
            classes (Sequence[str]): The C foreground classes of the data set.
            ignored (Iterable[str]): Names that are dropped rather than refused.

        Returns:
            ndarray: Uint8 (N, C) in {0, 1}.

        Raises:
            KeyError: An image is not in the set.
            ValueError: One of the images shows a class that is in neither list.
        """
        column = {name: k for k, name in enumerate(classes)}
        allowed = {*column, *ignored}
        if not allowed.issuperset(self.classes):
            _refuse_unknown({i: self.labels[i] for i in ids}, classes, allowed)
        matrix = np.zeros((len(ids), len(column)), dtype=np.uint8)
        for row, image_id in enumerate(ids):
            matrix[row, [column[n] for n in self.labels[image_id] if n in column]] = 1
        return matrix

    def subset(self, ids: Iterable[str]) -> 'ImageLabels':
        """Keep the given images, in the given order.

        Args:
            ids (Iterable[str]): Image ids.

        Returns:
            ImageLabels: The smaller set.

        Raises:
            ValueError: Images without an entry; the first few are listed.
        """
        ids = list(ids)
        missing = [image_id for image_id in ids if image_id not in self.labels]
        if missing:
            raise ValueError(f'{len(missing)} of {len(ids)} images have no entry in the labels: '
                             f'{first_few(missing)}')
        return ImageLabels(self.classes, {i: self.labels[i] for i in ids}, self.source)

    def summary(self) -> ImageLabelSummary:
        """Count images and labels.

        Returns:
            ImageLabelSummary: The counts.
        """
        counts = Counter(name for names in self.labels.values() for name in names)
        return ImageLabelSummary(
            num_images=len(self.labels),
            num_labels=sum(counts.values()),
            without_label=tuple(i for i, names in self.labels.items() if not names),
            images_per_class={name: counts[name] for name in self.classes})


def _refuse_unknown(labels: Mapping[str, Iterable[str]], classes: Sequence[str],
                    allowed: Iterable[str]) -> None:
    """Raise one error that lists class names outside ``allowed`` and how often each occurs."""
    allowed = set(allowed)
    unknown: Counter = Counter()
    example: dict[str, str] = {}
    for image_id, names in labels.items():
        for name in names:
            if name not in allowed:
                unknown[name] += 1
                example.setdefault(name, image_id)
    if unknown:
        first = '; '.join(
            f'{name!r}{closest(name, classes)}, {count} times, first for image {example[name]!r}'
            for name, count in unknown.most_common(3))
        raise ValueError(f'{len(unknown)} unknown class name(s) in the image labels: {first}. '
                         f'Known classes: {", ".join(classes)}')
