"""The prediction of one photograph: its label map, the scores of its classes and what occurs in it."""

from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from mmwsss.analysis import overlay, show_cams

__all__ = ['PhotoPrediction']


@dataclass
class PhotoPrediction:
    """The prediction of one photograph.

    Attributes:
        image_id (str): Name of its files, without suffix.
        path (str): Where the photograph was read; empty for an array.
        image (np.ndarray): (H, W, 3) uint8 RGB.
        labels (np.ndarray): (H, W) uint8, 0 is the background, c + 1 foreground class c; 255 is undecided.
        classes (tuple[str, ...]): Names of the label values, background first.
        scores (dict[str, float]): By foreground class, in [0, 1]: the probability that the classifier gives it; of a
            segmentor without a classifier, its largest probability over all pixels.
        palette (list): RGB colors of the label values.
        cams (np.ndarray, optional): (P, H, W) float32 in [0, 1], the CAMs of :attr:`cam_classes`.
        cam_classes (tuple[str, ...]): Classes that were selected.
    """

    image_id: str
    path: str
    image: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    scores: dict[str, float]
    palette: list = field(default_factory=list, repr=False)
    cams: Optional[np.ndarray] = None
    cam_classes: tuple[str, ...] = ()

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Foreground classes of the label map, the largest first.

        Each has ``class``, ``label`` (its value in the label map), ``score``, ``pixels``, ``area`` (share of the
        photograph, 0 to 1) and ``box`` ([x0, y0, x1, y1] in pixels with exclusive ends, around all its parts).
        """
        found = []
        for value in np.unique(self.labels):
            if not 0 < value < len(self.classes):
                continue
            rows, columns = np.nonzero(self.labels == value)
            name = self.classes[value]
            found.append({
                'class': name, 'label': int(value), 'score': round(self.scores[name], 4), 'pixels': len(rows),
                'area': round(len(rows) / self.labels.size, 4),
                'box': [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]})
        return sorted(found, key=lambda item: -item['pixels'])

    def summary(self) -> dict[str, Any]:
        """Return everything but the pixels, as JSON values."""
        height, width = self.labels.shape
        return {'id': self.image_id, 'path': self.path, 'width': width, 'height': height,
                'scores': {name: round(score, 4) for name, score in self.scores.items()}, 'objects': self.objects}

    def draw(self, alpha: float = 0.5) -> np.ndarray:
        """Draw the label map over the photograph; see :func:`~mmwsss.analysis.overlay`. Returns (H, W, 3) uint8 RGB."""
        return overlay(self.image, self.labels, self.classes, self.palette, alpha)

    def draw_cams(self, **options: Any) -> Any:
        """Draw the CAMs of the selected classes in a grid; see :func:`~mmwsss.analysis.show_cams`.

        Raises:
            ValueError: There are no CAMs; the prediction comes from a segmentation.
        """
        if self.cams is None:
            raise ValueError("there are no CAMs: predict with source='cam'")
        return show_cams(self.image, self.cams, self.cam_classes, [self.scores[name] for name in self.cam_classes],
                         **options)
