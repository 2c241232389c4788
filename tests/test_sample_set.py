"""The generated sample set: layout, determinism, statistics, and the backbone that comes with it."""

import hashlib
import json
import re

import cv2
import numpy as np
import pytest
import torch
from mmengine.runner import CheckpointLoader, load_state_dict
from mmpretrain.models import VisionTransformer
from PIL import Image

from mmwsss.checkpoints import asset_path, list_assets
from mmwsss.sample_set import (
    SAMPLE_CLASSES,
    SAMPLE_PALETTE,
    SAMPLE_SHAPES,
    draw_scene,
    summarize_labels,
    write_sample_set,
)
from mmwsss.sample_set.painter import Painter

NUM_TRAIN, NUM_VAL = 10, 4


@pytest.fixture(scope='module')
def sample_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sample') / 'set'
    assert write_sample_set(folder, NUM_TRAIN, NUM_VAL, nproc=1)
    return folder


@pytest.fixture(scope='module')
def scenes():
    return [draw_scene(np.random.default_rng([99, index])) for index in range(160)]


def digest(folder):
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_bytes_for_any_number_of_processes(sample_dir, tmp_path):
    write_sample_set(tmp_path / 'again', NUM_TRAIN, NUM_VAL, nproc=2)
    assert digest(tmp_path / 'again') == digest(sample_dir)


def test_a_longer_set_begins_with_the_shorter_and_seeds_differ(sample_dir, tmp_path):
    write_sample_set(tmp_path / 'longer', NUM_TRAIN + 1, NUM_VAL, nproc=1)
    write_sample_set(tmp_path / 'other', 1, 1, seed=5, nproc=1)
    name = 'JPEGImages/train_0000.jpg'
    assert digest(tmp_path / 'longer')[name] == digest(sample_dir)[name] != digest(tmp_path / 'other')[name]


def test_layout(sample_dir):
    assert (sample_dir / 'classes.txt').read_text().split() == list(SAMPLE_CLASSES)
    for split, count in (('train', NUM_TRAIN), ('val', NUM_VAL)):
        ids = (sample_dir / f'ImageSets/Segmentation/{split}.txt').read_text().split()
        assert ids == [f'{split}_{index:04d}' for index in range(count)]
        for name in ids:
            image = cv2.imread(str(sample_dir / f'JPEGImages/{name}.jpg'))
            mask = Image.open(sample_dir / f'SegmentationClass/{name}.png')
            assert mask.mode == 'P'
            assert mask.getpalette()[:3 * len(SAMPLE_PALETTE)] == [v for color in SAMPLE_PALETTE for v in color]
            assert image.shape[:2] == np.array(mask).shape


def test_labels_agree_with_masks(sample_dir):
    content = json.loads((sample_dir / 'image_labels.json').read_text())
    assert content['classes'] == list(SAMPLE_CLASSES[1:])
    assert len(content['labels']) == NUM_TRAIN + NUM_VAL
    for name, labels in content['labels'].items():
        values = set(np.unique(np.array(Image.open(sample_dir / f'SegmentationClass/{name}.png')))) - {0}
        assert {SAMPLE_CLASSES[value] for value in values} == set(labels)
        assert labels


def test_finished_set_is_kept_and_others_are_refused(sample_dir, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in sample_dir.rglob('*')}
    assert not write_sample_set(sample_dir, NUM_TRAIN, NUM_VAL)
    assert before == {path: path.stat().st_mtime_ns for path in sample_dir.rglob('*')}
    with pytest.raises(FileExistsError, match='other settings'):
        write_sample_set(sample_dir, NUM_TRAIN, NUM_VAL, seed=1)
    (tmp_path / 'note').write_text('mine')
    with pytest.raises(FileExistsError, match='manifest'):
        write_sample_set(tmp_path, NUM_TRAIN, NUM_VAL)


def test_an_interrupted_run_leaves_nothing(tmp_path):
    def break_off(items, total):
        yield next(iter(items))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample_set(tmp_path / 'set', 4, 1, nproc=1, progress=break_off)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(('arguments', 'message'), [(dict(num_val=0), '600 and 0'), (dict(seed=-1), '-1'),
                                                    (dict(nproc=0), 'nproc')])
def test_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_sample_set(tmp_path / 'set', **arguments)


def test_summary_counts_by_split():
    summary = summarize_labels({'train_0': ['car'], 'train_1': ['car', 'fish'], 'val_0': ['cup']})
    assert summary['train']['images'] == 2
    assert summary['train']['labels_per_image'] == 1.5
    assert (summary['train']['classes']['car'], summary['val']['classes']['cup']) == (2, 1)


def test_sizes_and_labels(scenes):
    sides = np.array([np.sqrt(scene.mask.size) for scene in scenes])
    aspects = np.array([scene.mask.shape[1] / scene.mask.shape[0] for scene in scenes])
    assert 125 < sides.min() < 140 < 180 < sides.max() < 195
    assert 0.74 < aspects.min() < 0.8 < 1.25 < aspects.max() < 1.35
    counts = np.bincount([len(scene.labels) for scene in scenes], minlength=4)
    assert counts[0] == 0
    assert (counts[1:4] > 5).all()
    assert counts.sum() == counts[1:4].sum()


def test_object_sizes(scenes):
    longest = []
    for scene in scenes:
        if len(scene.labels) == 1:
            _, _, stats, _ = cv2.connectedComponentsWithStats((scene.mask > 0).astype(np.uint8))
            longest.append(stats[1:, 2:4].max() / min(scene.mask.shape))
    assert max(longest) < 0.95  # two objects of a class may touch
    assert 0.35 < np.median(longest) < 0.62


def test_single_objects_keep_to_the_range():
    rng = np.random.default_rng(0)
    for shape in SAMPLE_SHAPES.values():
        painter = Painter(50, rng)
        shape(painter, rng)
        color, coverage = painter.finish()
        assert color.shape == (*coverage.shape, 3)
        assert 35 < max(coverage.shape) <= 60
        assert 0.12 < coverage.mean() < 0.9


def test_no_class_is_known_by_its_mean_color(scenes):
    colors, labels = [], []
    for scene in scenes:
        for value in np.unique(scene.mask)[1:]:
            colors.append(scene.image[scene.mask == value].mean(0))
            labels.append(value)
    colors, labels = np.array(colors), np.array(labels)
    half = len(labels) // 2
    centers = np.stack([colors[:half][labels[:half] == value].mean(0) for value in range(1, len(SAMPLE_CLASSES))])
    guess = np.linalg.norm(colors[half:, None] - centers, axis=2).argmin(1) + 1
    assert (guess == labels[half:]).mean() < 0.35  # chance: 0.125


def test_boats_come_with_water(scenes):
    boats = [scene.background == 'water' for scene in scenes if 'boat' in scene.labels]
    others = [scene.background == 'water' for scene in scenes if 'boat' not in scene.labels]
    assert np.mean(boats) > 0.75
    assert np.mean(others) < 0.15


def test_shipped_backbone_loads():
    name, = (asset for asset in list_assets() if asset.startswith('vit-micro-p8_sample'))
    path = asset_path(name)
    assert path.stat().st_size < 4e6
    assert re.fullmatch(r'.*-([0-9a-f]{8})\.safetensors', name)[1] == hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    checkpoint = CheckpointLoader.load_checkpoint(f'mmwsss://{name}', map_location='cpu')
    assert {'command', 'accuracy/top1'} <= set(checkpoint['meta'])
    assert all(value.dtype == torch.float16 for value in checkpoint['state_dict'].values())
    vit = VisionTransformer(
        arch=dict(embed_dims=128, num_layers=6, num_heads=4, feedforward_channels=512), img_size=64, patch_size=8)
    load_state_dict(vit, checkpoint['state_dict'], strict=True)
    features = vit(torch.rand(1, 3, 96, 80))[-1]
    assert features.isfinite().all()


def test_hash_may_be_left_out_and_unknown_names_list_what_there_is():
    name = list_assets()[0]
    assert asset_path('mmwsss://' + name.rpartition('-')[0]) == asset_path(name)
    with pytest.raises(FileNotFoundError, match=re.escape(name)):
        CheckpointLoader.load_checkpoint('mmwsss://vit-huge')
