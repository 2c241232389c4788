import numpy as np
import pytest
import torch

from mmwsss.registry import TRANSFORMS


@pytest.fixture
def results():
    rng = np.random.default_rng(0)
    return dict(img=rng.integers(0, 255, (4, 6, 3), dtype=np.uint8), img_path='a/x.jpg',
                ori_shape=(8, 12), img_shape=(4, 6), image_id='x', sample_seed=17,
                gt_label=np.array([1, 0, 1], np.float32))


@pytest.fixture
def pack():
    return TRANSFORMS.build(dict(type='PackWSSSInputs'))


def test_packs_labels_and_meta(pack, results):
    packed = pack(results)
    sample = packed['data_samples']
    assert torch.equal(packed['inputs'], torch.from_numpy(results['img']).permute(2, 0, 1))
    assert sample.gt_label.dtype == torch.float32
    assert sample.gt_label.tolist() == [1, 0, 1]
    assert (sample.image_id, sample.sample_seed, sample.ori_shape) == ('x', 17, (8, 12))
    assert 'gt_sem_seg' not in sample
    assert 'valid_box' not in sample
    results['gt_label'][:] = 0
    assert sample.gt_label.tolist() == [1, 0, 1]


def test_packs_masks_where_shown(pack, results):
    results['gt_seg_map'] = np.full((8, 12), 255, np.uint8)
    data = pack(results)['data_samples'].gt_sem_seg.data
    assert data.shape == (1, 8, 12)
    assert data.dtype == torch.int64


def test_packs_views_and_box(pack, results):
    view = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)[:, ::-1]
    results.update(views=dict(second=view), valid_box=np.array([0, 4, 1, 6], np.int16))
    packed = pack(results)
    assert set(packed['inputs']) == {'main', 'second'}
    assert torch.equal(packed['inputs']['second'], torch.tensor(view.copy()).permute(2, 0, 1))
    assert packed['data_samples'].valid_box == (0, 4, 1, 6)
    assert all(type(edge) is int for edge in packed['data_samples'].valid_box)


@pytest.mark.parametrize(('wrong', 'message'), [
    (dict(views=dict(main=np.zeros((2, 2, 3), np.uint8))), "called 'main'"),
    (dict(views=dict(v=np.zeros((2, 2), np.uint8))), r'\(2, 2\)'),
    (dict(valid_box=(0, 1, 2)), r'\(0, 1, 2\)'),
])
def test_refuses_malformed_extras(pack, results, wrong, message):
    with pytest.raises(ValueError, match=message):
        pack({**results, **wrong})
