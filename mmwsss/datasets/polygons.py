"""Polygons of binary masks, and binary masks of polygons: functions of arrays.

Programs disagree about where a pixel is. To some, the pixel (x, y) is the square between x and x + 1, so that polygons
run along the edges of pixels: COCO, Label Studio, CVAT and GeoJSON. To others it is the point (x, y), so that polygons
run through the centers of the outermost pixels and include them: OpenCV and Pillow, and with them YOLO and labelme.
This module has polygons of both kinds. Both are exact: they enclose the mask that they were made of, and nothing else.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

__all__ = ['Part', 'bridge_holes', 'center_parts', 'edge_parts', 'fill_polygons', 'simplify_ring']


class Part(NamedTuple):
    """A connected part of a mask.

    Attributes:
        outer (np.ndarray): (N, 2) int64, points (x, y) of the outline; the last is not the first again.
        holes (list[np.ndarray]): Outlines of the holes, in the same form.
    """

    outer: np.ndarray
    holes: list[np.ndarray]


def edge_parts(mask: np.ndarray) -> list[Part]:
    """Outline the parts of a mask along the edges of their pixels.

    Pixels that touch only at a corner belong to different parts. No outline touches itself, so that the polygons are
    valid in the sense of the Simple Features standard, which Shapely checks.

    Args:
        mask (np.ndarray): (H, W) bool.

    Returns:
        list[Part]: Corners in 0..W and 0..H, ordered by their first pixel in reading order.

    Examples:
        >>> part, = edge_parts(np.array([[0, 1]], bool))
        >>> sorted(map(tuple, part.outer.tolist()))
        [(1, 0), (1, 1), (2, 0), (2, 1)]
    """
    mask = np.ascontiguousarray(mask, dtype=np.uint8)
    count, components = cv2.connectedComponents(mask, connectivity=4)
    outer: dict[int, np.ndarray] = {}
    holes: dict[int, list[np.ndarray]] = {component: [] for component in range(1, count)}
    for ring in _edge_rings(mask):
        x, y = ring[np.lexsort((ring[:, 1], ring[:, 0]))[0]]  # leftmost corner: the pixel beside it is inside
        if mask[y, x]:
            outer[components[y, x]] = ring
        else:
            holes[components[y, x - 1]].append(ring)
    return [Part(outer[component], holes[component]) for component in range(1, count)]


def center_parts(mask: np.ndarray) -> list[Part]:
    """Outline the parts of a mask through the centers of their outermost pixels.

    Pixels that touch at a corner belong to one part. The outline of a part of one pixel is one point, that of a line
    runs there and back, and the outline of a hole runs through the pixels around it, as in OpenCV.

    Args:
        mask (np.ndarray): (H, W) bool.

    Returns:
        list[Part]: All pixels of the outlines, in 0..W - 1 and 0..H - 1.
    """
    contours, hierarchy = cv2.findContours(np.ascontiguousarray(mask, dtype=np.uint8), cv2.RETR_CCOMP,
                                           cv2.CHAIN_APPROX_NONE)
    rings = [contour.reshape(-1, 2).astype(np.int64) for contour in contours]
    parents = hierarchy.reshape(-1, 4)[:, 3].tolist() if rings else []
    parts = {k: Part(ring, []) for k, ring in enumerate(rings) if parents[k] < 0}
    for ring, parent in zip(rings, parents):
        if parent >= 0:
            parts[parent].holes.append(ring)
    return list(parts.values())


def _edge_rings(mask: np.ndarray) -> list[np.ndarray]:
    """Return all outlines of a mask (H, W) uint8 along pixel edges, as corners (N, 2); none touches itself.

    Along each row of the grid between pixels, corners pair up to horizontal edges, and along each column to vertical
    edges. Where two pixels touch at a corner only, two outlines turn; each of the two gets a corner of its own.
    """
    padded = np.pad(mask, 1).astype(bool)
    above, below = padded[:-1], padded[1:]
    odd = above[:, :-1] ^ above[:, 1:] ^ below[:, :-1] ^ below[:, 1:]
    crossing = (above[:, :-1] == below[:, 1:]) & (above[:, 1:] == below[:, :-1]) & (above[:, :-1] != above[:, 1:])
    places = np.flatnonzero(odd | crossing)
    places = np.repeat(places, 1 + crossing.ravel()[places])
    ys, xs = np.divmod(places, odd.shape[1])
    second = np.r_[False, places[1:] == places[:-1]]
    rising = crossing.ravel()[places] & above[:, 1:].ravel()[places]  # the touching pixels are top right, bottom left
    by_column = np.lexsort((second ^ rising, ys, xs))
    vertical = np.empty_like(places)
    vertical[by_column[::2]], vertical[by_column[1::2]] = by_column[1::2], by_column[::2]

    following, done, points = vertical.tolist(), bytearray(len(places)), list(zip(xs.tolist(), ys.tolist()))
    rings = []
    for start in range(len(places)):
        if done[start]:
            continue
        ring, node = [], start
        while not done[node]:
            done[node] = done[node ^ 1] = 1
            ring += [points[node], points[node ^ 1]]  # nodes 2k and 2k + 1 share a horizontal edge
            node = following[node ^ 1]
        rings += _without_touching(ring)
    return rings


def _without_touching(ring: list[tuple[int, int]]) -> list[np.ndarray]:
    """Cut an outline into outlines that pass no point twice."""
    if len(set(ring)) == len(ring):
        return [np.array(ring)]
    rings: list[np.ndarray] = []
    places: dict = {}
    path: list = []
    for point in ring:
        if point in places:
            start = places[point]
            rings.append(np.array(path[start:]))
            for gone in path[start:]:
                del places[gone]
            del path[start:]
        places[point] = len(path)
        path.append(point)
    return [*rings, np.array(path)]


def bridge_holes(part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Connect the holes of a part with its outline, for formats without holes.

    Each hole is connected by a horizontal line that runs there and back, from its leftmost point to the next outline on
    its left. Filled by the even-odd rule, the polygon is the part with its holes.

    Args:
        part (Part): A part of :func:`edge_parts` or :func:`center_parts`, not simplified.

    Returns:
        tuple[np.ndarray, np.ndarray]: The polygon (N, 2), and increasing positions (A,) of its points that hold
        bridges, which :func:`simplify_ring` must keep.
    """
    ring, fixed = part.outer, np.zeros(len(part.outer), bool)
    rotated = [np.roll(hole, -np.lexsort((hole[:, 1], hole[:, 0]))[0], axis=0) for hole in part.holes]
    for hole in sorted(rotated, key=lambda points: tuple(points[0])):  # from left to right: the next outline is done
        x, y = hole[0]
        ends = np.roll(ring, -1, axis=0)
        touches = (np.minimum(ring[:, 1], ends[:, 1]) <= y) & (np.maximum(ring[:, 1], ends[:, 1]) >= y)
        touches &= ((ring[:, 1] == y) | (ring[:, 0] == ends[:, 0])) & (ring[:, 0] <= x)
        after = int(np.where(touches, ring[:, 0], -1).argmax())
        landing = [[ring[after, 0], y]]
        bridge = np.concatenate([landing, hole, hole[:1], landing])
        held = np.zeros(len(bridge), bool)
        held[[0, 1, -2, -1]] = True
        ring = np.insert(ring, after + 1, bridge, axis=0)
        fixed = np.insert(fixed, after + 1, held)
    return ring, np.flatnonzero(fixed)


def simplify_ring(ring: np.ndarray, tolerance: float, fixed: Sequence[int] = ()) -> np.ndarray:
    """Leave out points of a closed outline by the algorithm of Douglas and Peucker.

    No point of the given outline is farther than ``tolerance`` from the result, so that the two enclose the same pixels
    except those within ``tolerance`` of the outline.

    Args:
        ring (np.ndarray): (N, 2) points.
        tolerance (float): In pixels; 0 leaves out points on straight lines only.
        fixed (Sequence[int]): Increasing positions of points that stay.

    Returns:
        np.ndarray: (M, 2) with 3 <= M <= N where N >= 3; the ring itself if less would stay.
    """
    if len(ring) < 4:
        return ring
    anchors = list(fixed)
    if len(anchors) < 2:
        first = anchors[0] if anchors else 0
        anchors = sorted({first, int(((ring - ring[first])**2).sum(1).argmax())})
    turned = np.roll(ring, -anchors[0], axis=0)
    stops = [anchor - anchors[0] for anchor in anchors] + [len(ring)]
    closed = np.concatenate([turned, turned[:1]]).astype(float)
    kept = np.zeros(len(closed), bool)
    for start, stop in zip(stops, stops[1:]):
        _keep_far_points(closed, start, stop, tolerance, kept)
    simple = turned[kept[:-1]]
    return simple if len(simple) >= 3 else ring


def _keep_far_points(points: np.ndarray, start: int, stop: int, tolerance: float, kept: np.ndarray) -> None:
    """Mark the points between two positions, inclusive, that a line within ``tolerance`` needs."""
    kept[[start, stop]] = True
    open_arcs = [(start, stop)]
    while open_arcs:
        first, last = open_arcs.pop()
        if last - first < 2:
            continue
        between, chord = points[first + 1:last] - points[first], points[last] - points[first]
        length = max(float(chord @ chord), 1e-12)
        along = np.clip(between @ chord / length, 0, 1)
        distances = ((between - along[:, None] * chord)**2).sum(1)
        if distances.max() > tolerance**2 + 1e-9:
            middle = first + 1 + int(distances.argmax())
            kept[middle] = True
            open_arcs += [(first, middle), (middle, last)]


def fill_polygons(rings: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """Fill polygons along pixel edges by the even-odd rule.

    A pixel is inside if its center (x + 0.5, y + 0.5) is. Points outside the image are allowed.

    Args:
        rings (Sequence[np.ndarray]): Closed outlines (N, 2) of points (x, y), holes among them.
        height (int): Of the mask, in pixels.
        width (int): Of the mask, in pixels.

    Returns:
        np.ndarray: (H, W) bool.
    """
    toggles = np.zeros((height, width + 1), np.int32)
    for ring in rings:
        starts = np.asarray(ring, float).reshape(-1, 2)
        ends = np.roll(starts, -1, axis=0)
        upward = (starts[:, 1] > ends[:, 1])[:, None]
        upper, lower = np.where(upward, ends, starts), np.where(upward, starts, ends)
        first, last = (np.clip(np.ceil(edge[:, 1] - 0.5), 0, height).astype(int) for edge in (upper, lower))
        counts = last - first
        edges = np.repeat(np.arange(len(starts)), counts)
        rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - first, counts)
        (x0, y0), (x1, y1) = upper[edges].T, lower[edges].T
        crossings = x0 + (rows + 0.5 - y0) / (y1 - y0) * (x1 - x0)
        np.add.at(toggles, (rows, np.clip(np.ceil(crossings - 0.5), 0, width).astype(int)), 1)
    return np.cumsum(toggles, axis=1)[:, :width] % 2 == 1
