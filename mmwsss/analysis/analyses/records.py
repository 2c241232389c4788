"""Values for the JSON file of an analysis: rounded numbers, photographs as text, and what stands in it of each run."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Union

import cv2
import numpy as np
from torch import Tensor

__all__ = ['decode_photo', 'encode_photo', 'rounded', 'runs_of', 'spread']

MAX_SIDE = 448


def rounded(values: Union[Tensor, np.ndarray], digits: int = 5) -> Any:
    """Round numbers of any shape for a JSON file.

    Args:
        values: A tensor or an array.
        digits: Significant digits.

    Returns:
        Nested lists of numbers, or a number where ``values`` has no dimensions; None in place of NaN.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    if values.ndim == 0:
        return None if np.isnan(values) else float(f'{float(values):.{digits}g}')
    return [rounded(part, digits) for part in values]


def spread(values: Tensor) -> dict[str, list]:
    """Return ``mean``, ``std``, and the quartiles ``low`` and ``high``, of (images, layers) over images."""
    values = values.double()
    return dict(mean=rounded(values.mean(dim=0)), std=rounded(values.std(dim=0, correction=0)),
                low=rounded(values.quantile(.25, dim=0)), high=rounded(values.quantile(.75, dim=0)))


def encode_photo(photo: np.ndarray) -> str:
    """Turn a photograph (H, W, 3) uint8 RGB into the text of a JPEG file of at most 448 pixels a side."""
    scale = min(MAX_SIDE / max(photo.shape[:2]), 1)
    size = max(round(photo.shape[1] * scale), 1), max(round(photo.shape[0] * scale), 1)
    photo = cv2.resize(np.ascontiguousarray(photo[..., ::-1]), size, interpolation=cv2.INTER_AREA)
    return base64.b64encode(cv2.imencode('.jpg', photo, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()).decode('ascii')


def decode_photo(text: str) -> np.ndarray:
    """Turn the text of :func:`encode_photo` into (H, W, 3) uint8 RGB."""
    content = np.frombuffer(base64.b64decode(text), np.uint8)
    return np.ascontiguousarray(cv2.imdecode(content, cv2.IMREAD_COLOR)[..., ::-1])


def runs_of(record: Mapping[str, Any]) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Return the label and the data of each run in a JSON file."""
    return [(run['label'], run['data']) for run in record['runs']]
