"""Polygons of masks: exact along pixel edges and through pixel centers, with holes, bridged and simplified."""

import cv2
import numpy as np
import pytest

from mmwsss.datasets.polygons import Part, bridge_holes, center_parts, edge_parts, fill_polygons, simplify_ring


def masks() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    sizes = [(1, 1), (1, 9), (8, 1), (2, 2), (3, 3), (7, 5), (12, 20), (24, 17)]
    noise = [rng.random(size) < share for size in sizes for share in (0.3, 0.5, 0.7, 0.9)]
    smooth = [cv2.GaussianBlur(rng.standard_normal((50, 64)), (0, 0), sigma) > 0 for sigma in (1, 2, 4)]
    return [*noise, *smooth, np.zeros((4, 5), bool), np.ones((4, 5), bool)]


MASKS = masks()


def filled(parts: list[list[np.ndarray]], mask: np.ndarray) -> np.ndarray:
    """Fill each list of outlines and check that they do not overlap."""
    masks = [fill_polygons(rings, *mask.shape) for rings in parts]
    assert not masks or np.sum(masks, axis=0).max() <= 1
    return np.any([np.zeros_like(mask), *masks], axis=0)


def test_a_part_with_a_hole_that_touches_its_corner():
    mask = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], bool)
    part, = edge_parts(mask)
    assert {tuple(point) for point in part.outer.tolist()} == {(0, 0), (3, 0), (3, 2), (2, 2), (2, 3), (0, 3)}
    hole, = part.holes
    assert {tuple(point) for point in hole.tolist()} == {(1, 1), (2, 1), (2, 2), (1, 2)}


@pytest.mark.parametrize('mask', MASKS, ids=lambda mask: 'x'.join(map(str, mask.shape)))
def test_polygons_along_edges_enclose_the_mask(mask):
    parts = edge_parts(mask)
    assert len(parts) == cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] - 1
    rings = [[part.outer, *part.holes] for part in parts]
    assert all(len({tuple(point) for point in ring.tolist()}) == len(ring) for part in rings for ring in part)
    np.testing.assert_array_equal(filled(rings, mask), mask)
    bridged = [simplify_ring(ring, 0, fixed) for ring, fixed in map(bridge_holes, parts)]
    np.testing.assert_array_equal(filled([[ring] for ring in bridged], mask), mask)


@pytest.mark.parametrize('mask', MASKS, ids=lambda mask: 'x'.join(map(str, mask.shape)))
def test_polygons_through_centers_enclose_the_mask_with_their_border(mask):
    parts = center_parts(mask)
    drawn = np.zeros(mask.shape, np.uint8)
    for part in parts:
        ring, fixed = bridge_holes(part)
        cv2.fillPoly(drawn, [simplify_ring(ring, 0, fixed).astype(np.int32)], 1)
    np.testing.assert_array_equal(drawn, mask)


def distance_to_ring(points: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """Return the distance of points (N, 2) to a closed outline."""
    ends = np.roll(ring, -1, axis=0) - ring
    offsets = points[:, None] - ring
    along = np.clip((offsets * ends).sum(-1) / np.maximum((ends**2).sum(-1), 1e-12), 0, 1)
    return np.linalg.norm(offsets - along[..., None] * ends, axis=-1).min(1)


@pytest.mark.parametrize('tolerance', [0.5, 1.0, 3.0])
def test_simplified_outlines_are_near_and_short(tolerance):
    for part in edge_parts(MASKS[-3]):
        ring, fixed = bridge_holes(part)
        simple = simplify_ring(ring, tolerance, fixed)
        assert distance_to_ring(ring, simple).max() <= tolerance + 1e-6
        kept = {tuple(point) for point in simple.tolist()}
        assert len(simple) < len(ring) or len(ring) < 12
        assert len(simple) == len(ring) or {tuple(point) for point in ring[fixed].tolist()} <= kept


def test_an_outline_never_vanishes():
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    np.testing.assert_array_equal(simplify_ring(square, 10), square)


def test_holes_are_bridged_from_the_nearest_outline():
    outer = np.array([[0, 0], [9, 0], [9, 5], [0, 5]])
    holes = [np.array([[x, 2], [x + 1, 2], [x + 1, 3], [x, 3]]) for x in (6, 2)]
    ring, fixed = bridge_holes(Part(outer, holes))
    assert {tuple(point) for point in ring[fixed].tolist()} == {(0, 2), (2, 2), (3, 2), (6, 2)}


def test_polygons_may_leave_the_image():
    mask = fill_polygons([np.array([[-5.5, 1.2], [2.4, 1.2], [2.4, 90], [-5.5, 90]])], 4, 5)
    np.testing.assert_array_equal(mask, [[0] * 5, [1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0]])
