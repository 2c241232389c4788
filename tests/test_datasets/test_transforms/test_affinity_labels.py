"""Labels of AffinityNet: from class scores and from label maps, with the geometry before them."""

import numpy as np
import pytest
from mmcv.transforms import Compose

from mmwsss.datasets.map_files import write_cams
from mmwsss.datasets.transforms import LoadAffinityScores, PoolAffinityLabels, RandomPlaceCrop, StrideLabels
from mmwsss.registry import TRANSFORMS

LOW = {0: [[.6, .2, .1, .5], [.9, .3, 0, .4]], 5: [[.3, .7, .2, .4], [.05, .4, 0, .5]],
       15: [[.1, .1, .7, .1], [.05, .3, 0, .1]]}
HIGH = {0: [[.1, .05, .02, .6], [.8, .5, 0, .1]], 5: [[.6, .8, .3, .3], [.1, .3, 0, .8]],
        15: [[.3, .15, .68, .1], [.1, .2, 0, .1]]}
EXPECTED = [[255, 1, 2, 0], [0, 0, 255, 1]]


def planes_of(keyed):
    return np.array(list(keyed.values()), np.float32)


def write_maps(root, image_id, suffix='npz', low=LOW, high=HIGH):
    """Write both folders, and give what the pipeline knows of the image."""
    for folder, keyed in (('crf_1', low), ('crf_12', high)):
        planes = planes_of(keyed)
        write_cams(planes, [key - 1 for key in keyed], planes.shape[1:], root / folder / f'{image_id}.{suffix}')
    return dict(image_id=image_id, seg_map_path=str(root / f'{image_id}.png'), seg_fields=[])


@pytest.mark.parametrize(('suffix', 'image_id'), [('npz', '2007_000032'), ('npy', 'train/a/7')])
def test_worked_example(tmp_path, suffix, image_id):
    results = write_maps(tmp_path, image_id, suffix) | dict(img=np.zeros((2, 4, 3), np.uint8))
    results = LoadAffinityScores()(results)
    assert results['affinity_scores'].shape == (2, 4, 6)
    assert results['seg_fields'] == ['affinity_scores']
    results = PoolAffinityLabels(stride=1)(results)
    assert results['gt_seg_map'].tolist() == EXPECTED
    assert results['seg_fields'] == ['gt_seg_map']
    assert 'affinity_scores' not in results


def test_scores_are_averaged_before_they_compete():
    """Of the 8 x 8 pixels of a cell, few of a high score outweigh many of a low one."""
    scores = np.zeros((8, 16, 4), np.float32)
    scores[..., 0] = scores[..., 2] = 0.3
    scores[:3, :8, 1] = scores[:3, :8, 3] = 1
    labels = PoolAffinityLabels()(dict(affinity_scores=scores))['gt_seg_map']
    assert labels.tolist() == [[1, 0]]


def test_image_without_classes_is_background():
    scores = np.ones((8, 8, 2), np.float32)
    assert PoolAffinityLabels()(dict(affinity_scores=scores))['gt_seg_map'].tolist() == [[0]]


def test_images_of_no_whole_cells_are_refused():
    with pytest.raises(ValueError, match='12 x 16 pixels has no whole cells of 8'):
        PoolAffinityLabels()(dict(affinity_scores=np.zeros((12, 16, 2))))


def test_stored_maps_may_be_smaller_than_the_image(tmp_path):
    results = write_maps(tmp_path, 'a') | dict(img=np.zeros((16, 32, 3), np.uint8))
    scores = LoadAffinityScores()(results)['affinity_scores']
    assert scores.shape == (16, 32, 6)
    np.testing.assert_allclose(scores[0, 0], [.6, .3, .1, .1, .6, .3], atol=1e-3)


def test_missing_maps_name_file_and_way_out(tmp_path):
    results = dict(image_id='a', seg_map_path=str(tmp_path / 'a.png'), img=np.zeros((2, 4, 3)))
    with pytest.raises(FileNotFoundError, match=rf'{tmp_path}/crf_1/a.npz: make them with.*--crf-alphas'):
        LoadAffinityScores()(results)


def test_folders_of_different_classes(tmp_path):
    results = write_maps(tmp_path, 'a', high={0: HIGH[0], 5: HIGH[5], 7: HIGH[15]})
    with pytest.raises(ValueError, match=r'crf_1 have the classes \[0, 5, 15\], those in crf_12 \[0, 5, 7\]'):
        LoadAffinityScores()(results | dict(img=np.zeros((2, 4, 3))))


def test_two_folders_are_needed():
    with pytest.raises(ValueError, match='low and of the high alpha'):
        LoadAffinityScores(folders=['crf_1'])


@pytest.mark.parametrize('size', [(20, 50), (40, 24), (60, 70)])
def test_image_and_scores_stay_together(size):
    """Crop and mirror image: the scores are a function of the colors, black and 0 in the padding."""
    rng = np.random.default_rng(0)
    image = rng.integers(1, 256, (*size, 3), dtype=np.uint8)
    scores = np.concatenate([image, 255 - image], axis=2).astype(np.float32) / 255
    steps = Compose([RandomPlaceCrop(32, seg_pad_value=0), TRANSFORMS.build(dict(type='RandomFlip', prob=0.5))])
    places, flips = set(), set()
    for seed in range(20):
        np.random.seed(seed)
        found = steps(dict(img=image, affinity_scores=scores, seg_fields=['affinity_scores']))
        flips.add(found['flip'])
        places.add(tuple(found['valid_box']))
        inside = found['img'].any(axis=2)
        assert inside.sum() == min(size[0], 32) * min(size[1], 32)
        assert found['affinity_scores'].dtype == np.float32
        np.testing.assert_array_equal(found['affinity_scores'][..., :3] * 255, found['img'])
        assert not found['affinity_scores'][~inside].any()
        assert found['affinity_scores'][inside].any(axis=1).all()
    assert flips == {True, False}
    assert len(places) > 1 or min(size) >= 32


def test_label_maps_are_cropped_with_their_own_padding():
    image = np.full((4, 4, 3), 9, np.uint8)
    results = dict(img=image, gt_seg_map=np.full((4, 4), 3, np.uint8), seg_fields=['gt_seg_map'])
    for value in (0, 255):
        found = RandomPlaceCrop(8, seg_pad_value=value)(dict(results))
        assert set(np.unique(found['gt_seg_map'])) == {3, value}
        assert ((found['gt_seg_map'] == 3) == found['img'].any(axis=2)).all()


def test_first_pixel_of_every_cell():
    labels = np.arange(12 * 20).reshape(12, 20) % 251
    found = StrideLabels()(dict(gt_seg_map=labels.copy(), seg_fields=['gt_seg_map']))['gt_seg_map']
    assert found.tolist() == [[labels[y, x] for x in (0, 8, 16)] for y in (0, 8)]
