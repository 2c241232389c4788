"""The pipelines of configs/_base_/pipelines/deit_224.py against DeiT's published augmentation."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose

from mmwsss.datasets import seeded_sample
from mmwsss.registry import TRANSFORMS
from tests.helpers import REPO, write_voc_folder

CONFIG = Config.fromfile(REPO / 'configs/_base_/pipelines/deit_224.py')
LEVEL = 9
PUBLISHED = [  # operation, direction, argument at level 9, whether its sign is random
    ('AutoContrast', None, None, False), ('Equalize', None, None, False), ('Invert', None, None, False),
    ('Rotate', None, 27, True), ('Posterize', None, 4 - int(0.4 * LEVEL), False),
    ('Solarize', None, 256 - int(25.6 * LEVEL), False), ('SolarizeAdd', None, 11 * LEVEL, False),
    ('ColorTransform', None, 0.81, True), ('Contrast', None, 0.81, True), ('Brightness', None, 0.81, True),
    ('Sharpness', None, 0.81, True), ('Shear', 'horizontal', 0.27, True), ('Shear', 'vertical', 0.27, True),
    ('Translate', 'horizontal', 0.405, True), ('Translate', 'vertical', 0.405, True)
]


def build(steps):
    return Compose([TRANSFORMS.build(dict(step)) for step in steps])


@pytest.fixture(scope='module')
def info(tmp_path_factory):
    root = write_voc_folder(tmp_path_factory.mktemp('voc'), num_train=1, num_val=0, size=(300, 200))
    return dict(img_path=str(root / 'JPEGImages/img_000.jpg'), seg_map_path=str(root / 'SegmentationClass/img_000.png'),
                gt_label=np.array([1, 0], np.float32), image_id='img_000', reduce_zero_label=False, seg_fields=[])


def test_random_augment_is_the_published_policy():
    step = next(step for step in CONFIG.deit_train_pipeline if step.type == 'RandAugment')
    augment = TRANSFORMS.build(dict(step))
    assert augment.num_policies == 2
    assert len(augment.transforms) == len(PUBLISHED)
    for op, (name, direction, argument, signed) in zip(augment.transforms, PUBLISHED):
        assert type(op).__name__ == name
        assert getattr(op, 'direction', None) == direction
        assert op.prob == 0.5
        if argument is None:
            continue
        assert (op.magnitude_level, op.magnitude_std, op.total_level) == (LEVEL, 0.5, 10)
        op.magnitude_std = 0
        found = op.random_magnitude()
        assert (np.ceil(found) if name in ('Posterize', 'Solarize') else found) == pytest.approx(argument), name
        assert op.random_negative_prob == (0.5 if signed else 0)
        if name in ('Rotate', 'Shear', 'Translate'):
            assert op.interpolation == 'bicubic'
            assert op.pad_val == (104, 116, 124), 'RGB (124, 116, 104) on BGR images'


def test_border_color_is_in_the_order_of_the_images():
    step = dict(type='mmpretrain.Translate', magnitude=0.5, prob=1., random_negative_prob=0., pad_val=(104, 116, 124))
    moved = TRANSFORMS.build(step)(dict(img=np.zeros((8, 8, 3), np.uint8)))['img']
    assert moved[0, 0].tolist() == [104, 116, 124]


def test_training_samples(info):
    pipeline = build(CONFIG.deit_train_pipeline)

    def sample(draw):
        with seeded_sample(0, draw):
            return pipeline(dict(info))

    samples = [sample(draw) for draw in range(24)]
    assert {tuple(s['inputs'].shape) for s in samples} == {(3, 224, 224)}
    assert {s['inputs'].dtype for s in samples} == {torch.uint8, torch.float32}, 'only erased images are float'
    assert all(s['data_samples'].gt_label.tolist() == [1, 0] for s in samples)
    assert 0 < sum(s['data_samples'].flip for s in samples) < 24
    for draw in (0, 5):
        torch.testing.assert_close(sample(draw)['inputs'], samples[draw]['inputs'], rtol=0, atol=0)
    assert not torch.equal(samples[0]['inputs'], samples[1]['inputs'])


def test_validation_keeps_the_size(info):
    packed = build(CONFIG.deit_val_pipeline)(dict(info))
    assert packed['inputs'].shape == (3, 300, 200)
    assert packed['data_samples'].gt_sem_seg.shape == (300, 200)


def test_classification_takes_the_middle(info):
    packed = build(CONFIG.deit_cls_pipeline)(dict(info))
    image = cv2.imread(info['img_path'])
    resized = cv2.resize(image, (256, 384), interpolation=cv2.INTER_CUBIC)[80:304, 16:240]
    assert packed['inputs'].shape == (3, 224, 224)
    assert np.abs(packed['inputs'].numpy().transpose(1, 2, 0).astype(float) - resized).mean() < 2
