import numpy as np
import pytest

from mmwsss.datasets.coco import paint_instances, paint_instances_like_coco2voc

coco_mask = pytest.importorskip('pycocotools.mask', reason='COCO annotations need pycocotools')


def as_runs(region):
    return coco_mask.encode(np.asfortranarray(region.astype(np.uint8)))


def test_smaller_objects_lie_on_top():
    rng = np.random.default_rng(0)
    regions = rng.random((6, 9, 7)) < rng.random((6, 1, 1))
    annotations = [dict(segmentation=as_runs(region), category_id=k, iscrowd=0) for k, region in enumerate(regions)]
    mask = paint_instances(9, 7, annotations, {k: k + 1 for k in range(6)})
    for y, x in np.ndindex(9, 7):
        covering = [(region.sum(), k + 1) for k, region in enumerate(regions) if region[y, x]]
        assert mask[y, x] == (min(covering)[1] if covering else 0)


def test_compressed_strings_and_degenerate_polygons():
    region = np.zeros((5, 6), bool)
    region[1:3, 2:5] = True
    runs = as_runs(region)
    runs['counts'] = runs['counts'].decode()
    annotations = [dict(segmentation=runs, category_id=7, iscrowd=0), dict(segmentation=[[0, 0, 4, 4]], category_id=7),
                   dict(segmentation=[], category_id=7)]
    assert (paint_instances(5, 6, annotations, {7: 3}) == 3 * region).all()


def test_no_object():
    assert paint_instances(2, 3, [], {}).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_wrong_input():
    with pytest.raises(ValueError, match="crowd must be one of.*'drop'"):
        paint_instances(2, 2, [], {}, crowd='drop')
    with pytest.raises(ValueError, match='got str'):
        paint_instances(2, 2, [dict(segmentation='x', category_id=1)], {1: 1})
    with pytest.raises(ValueError, match=r'\[5, 5\] in an image of \[2, 2\]'):
        paint_instances(2, 2, [dict(segmentation=as_runs(np.ones((5, 5))), category_id=1)], {1: 1})


def region_of(rows, columns, size=20):
    region = np.zeros((size, size), bool)
    region[rows, columns] = True
    return as_runs(region)


def test_a_crowd_over_an_object_in_both_styles():
    annotations = [
        dict(segmentation=region_of(slice(0, 10), slice(0, 10)), category_id=1, iscrowd=0, area=100),
        dict(segmentation=region_of(slice(8, 12), slice(8, 14)), category_id=2, iscrowd=1, area=24)]
    theirs = paint_instances_like_coco2voc(20, 20, annotations, {1: 1, 2: 2})
    assert {value: int((theirs == value).sum()) for value in (1, 2, 255)} == {1: 96, 2: 24, 255: 0}
    ours = paint_instances(20, 20, annotations, {1: 1, 2: 2})
    assert {value: int((ours == value).sum()) for value in (1, 2, 255)} == {1: 100, 2: 0, 255: 20}


def test_coco2voc_orders_by_the_area_field_and_then_by_position():
    wide, high = region_of(slice(0, 2), slice(0, 8)), region_of(slice(0, 8), slice(0, 2))
    equal = [dict(segmentation=wide, category_id=1, area=16.), dict(segmentation=high, category_id=2, area=16.)]
    assert (paint_instances_like_coco2voc(20, 20, equal, {1: 1, 2: 2})[:2, :2] == 1).all()
    assert (paint_instances_like_coco2voc(20, 20, equal[::-1], {1: 1, 2: 2})[:2, :2] == 2).all()
    # The field counts, not the pixels.
    equal[1]['area'] = 1.5
    assert (paint_instances_like_coco2voc(20, 20, equal, {1: 1, 2: 2})[:2, :2] == 2).all()
    assert (paint_instances_like_coco2voc(20, 20, equal, {1: 1, 2: 0}) <= 1).all(), 'background is left out'
    del equal[1]['area']
    with pytest.raises(ValueError, match='category 2 has the area None'):
        paint_instances_like_coco2voc(20, 20, equal, {1: 1, 2: 2})
