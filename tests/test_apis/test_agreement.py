"""Predictions of other views of a photograph are compared with that of the photograph."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from mmwsss.apis import PhotoInput, PhotoPrediction, view_agreement

CLASSES = ('background', 'red')


class Labeler:
    """Stands for an inferencer: labels each view by a function of its pixels."""

    def __init__(self, label: Callable[[np.ndarray], np.ndarray]) -> None:
        self.label = label
        self.seen: list[tuple] = []

    def stream(self, photos: list[PhotoInput], batch_size: int, image_labels: dict) -> Iterator[PhotoPrediction]:
        for photo in photos:
            self.seen.append((photo.image_id, photo.array.shape, image_labels.get(photo.image_id)))
            image = photo.array[..., ::-1]
            yield PhotoPrediction(photo.image_id, '', image, self.label(image).astype(np.uint8), CLASSES, {'red': .9})


@pytest.fixture
def image() -> np.ndarray:
    """A red square left of the middle, (40, 60, 3) RGB."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[8:28, 8:28, 0] = 255
    return image


def agreement(labeler: Labeler, image: np.ndarray) -> dict[str, float]:
    prediction, = labeler.stream([PhotoInput('a', '', array=image[..., ::-1])], 1, {})
    return view_agreement(labeler, prediction, {'a': ['red']})


def test_a_model_that_looks_at_pixels_agrees_with_itself(image: np.ndarray):
    labeler = Labeler(lambda view: view[..., 0] > 127)
    found = agreement(labeler, image)
    assert found['mirrored'] == 1
    assert found['smaller'] > .85
    assert labeler.seen[1:] == [('a', (40, 60, 3), ['red']), ('a', (30, 45, 3), ['red'])]


def test_a_model_that_looks_at_places_does_not(image: np.ndarray):
    """It labels the left half of whatever it sees."""
    found = agreement(Labeler(lambda view: np.arange(view.shape[1]) < view.shape[1] // 2 + view[..., 0] * 0), image)
    assert found['mirrored'] == 0
    assert found['smaller'] > .9
