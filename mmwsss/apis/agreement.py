"""Compare the prediction of a photograph with those of its mirror image and of a smaller version."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from mmwsss.analysis import label_agreement

from .inferencer import WSSSInferencer
from .photo_inputs import PhotoInput
from .predictions import PhotoPrediction

__all__ = ['view_agreement']

SMALLER = 0.75
"""float: Size of the smaller version, relative to the photograph's."""


def view_agreement(inferencer: WSSSInferencer, prediction: PhotoPrediction,
                   image_labels: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Predict other views of a photograph, and return how well their label maps agree with that of the photograph.

    A model that is right about a photograph labels all of its views alike. The reverse does not hold: a model may be
    wrong in the same way about all of them.

    Args:
        inferencer (WSSSInferencer): What made the prediction.
        prediction (PhotoPrediction): The photograph and its label map.
        image_labels (Mapping[str, Sequence[str]]): Classes of photographs by their id, as for the prediction.

    Returns:
        dict[str, float]: For ``'mirrored'`` and ``'smaller'``, see :func:`~mmwsss.analysis.label_agreement`.
    """
    image, labels = prediction.image[..., ::-1], prediction.labels  # RGB to BGR
    height, width = labels.shape
    small = cv2.resize(image, None, fx=SMALLER, fy=SMALLER, interpolation=cv2.INTER_AREA)
    views = [PhotoInput(prediction.image_id, '', array=np.ascontiguousarray(view)) for view in (image[:, ::-1], small)]
    mirrored, smaller = (view.labels for view in inferencer.stream(views, 1, image_labels))
    smaller = cv2.resize(smaller, (width, height), interpolation=cv2.INTER_NEAREST)
    found = dict(mirrored=mirrored[:, ::-1], smaller=smaller)
    count = len(prediction.classes)
    return {name: round(label_agreement(labels, other, count), 4) for name, other in found.items()}
