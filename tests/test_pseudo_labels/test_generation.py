import copy
import json
import logging
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import mmcv
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.config import Config
from mmengine.fileio import BaseStorageBackend, register_backend
from mmengine.fileio.backends import backends as fileio_backends
from PIL import Image

from mmwsss.apis import (
    PseudoLabelError,
    expand_short_forms,
    inference_cams,
    init_model,
    labelled_images,
    make_pseudo_labels,
)
from mmwsss.datasets import ImageLabelDataset
from mmwsss.datasets.map_files import read_cams, read_label_map
from mmwsss.models import PixelAdaptiveRefinement
from mmwsss.models.label_steps import ConstantBackground, Downscale, LabelBatch, LabelPipeline, MergeLevels, Softmax
from mmwsss.pseudo_labels import generation
from mmwsss.pseudo_labels.generation import estimate_map_bytes
from mmwsss.pseudo_labels.label_cfg import build_outputs
from mmwsss.utils import OutputError
from mmwsss.utils.errors import UserError
from tests.color_cam import ColorCAM, color_cam_config
from tests.helpers import CLASSES, COLORS, PALETTE, write_voc_folder

HALF = expand_short_forms(threshold=.5)
TRAIN = [f'img_{i:03d}' for i in range(6)]
LABELS = {name: ((1, 0), (0, 1), (1, 1))[i % 3] for i, name in enumerate(TRAIN)}


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voc_folder(tmp_path_factory.mktemp('voc'))


@pytest.fixture(scope='module')
def cfg(root: Path) -> Config:
    return Config(color_cam_config(root, size=(64, 48)))


@pytest.fixture(scope='module')
def model(cfg: Config) -> ColorCAM:
    return init_model(cfg)


@pytest.fixture(scope='module')
def images(cfg: Config, model: ColorCAM) -> ImageLabelDataset:
    return labelled_images(cfg)


def test_another_precision_is_another_setting(model: ColorCAM, images: ImageLabelDataset, tmp_path: Path):
    make_pseudo_labels(model, images, tmp_path / 'out', HALF)
    with pytest.raises(ValueError, match='amp is null there and "bf16" now'):
        make_pseudo_labels(model, images, tmp_path / 'out', HALF, amp='bf16')
    before = contents(tmp_path)
    assert make_pseudo_labels(model, images, tmp_path / 'out', HALF, amp='bf16', overwrite=True).num_written == 6
    assert json.loads((tmp_path / 'out/pseudo_labels.json').read_text())['settings']['amp'] == 'bf16'
    assert contents(tmp_path) != before
    with pytest.raises(UserError, match='amp fp16 takes a GPU'):
        make_pseudo_labels(model, images, tmp_path / 'new', HALF, amp='fp16')
    assert not (tmp_path / 'new').exists()


def contents(folder: Path) -> dict:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_labels_equal_those_of_single_images(root: Path, model: ColorCAM, images: ImageLabelDataset, tmp_path: Path):
    summary = make_pseudo_labels(model, images, tmp_path, expand_short_forms(threshold=.4, save_cams=True))
    pixels = np.zeros(256, int)
    for name, present in LABELS.items():
        cams = inference_cams(model, root / f'JPEGImages/{name}.jpg', present)
        expected = np.where(cams.max(0) > np.float32(.4), cams.argmax(0) + 1, 0)
        found = read_label_map(tmp_path / f'{name}.png')
        np.testing.assert_array_equal(found, expected)
        assert found.shape == mmcv.imread(root / f'JPEGImages/{name}.jpg').shape[:2]
        pixels += np.bincount(found.ravel(), minlength=256)
        stored, channels = read_cams(tmp_path / f'cams/{name}.npz')
        np.testing.assert_allclose(stored, cams[channels], atol=1e-3)
        assert channels.tolist() == np.flatnonzero(present).tolist()
    assert (summary.num_written, summary.num_kept) == (6, 0)
    np.testing.assert_array_equal(summary.pixels, pixels)
    assert summary.images[:3].tolist() == [6, 4, 4]
    with Image.open(tmp_path / f'{TRAIN[0]}.png') as image:
        assert image.mode == 'P'
        assert image.getpalette()[:9] == [value for color in PALETTE for value in color]


@pytest.mark.parametrize('high', [None, .7])
def test_refinement_along_the_image(root: Path, model: ColorCAM, images: ImageLabelDataset, tmp_path: Path,
                                    high: object):
    make_pseudo_labels(model, images, tmp_path, expand_short_forms(threshold=.5, high=high, post='par'))
    for name in ('img_001', 'img_002'):
        path = root / f'JPEGImages/{name}.jpg'
        present = torch.tensor([LABELS[name]], dtype=torch.float32)
        cams = torch.from_numpy(inference_cams(model, path, LABELS[name]))[None]
        image = torch.from_numpy(mmcv.imread(path, channel_order='rgb').transpose(2, 0, 1).copy())[None] / 255
        steps = [Downscale(), ConstantBackground(low=.5, high=high or .5), Softmax(), PixelAdaptiveRefinement()]
        expected = LabelPipeline(steps, MergeLevels())(LabelBatch.from_cams(image, cams, present))[0]
        np.testing.assert_array_equal(read_label_map(tmp_path / f'{name}.png'), expected)


def test_masks_are_never_opened(root: Path, cfg: Config, model: ColorCAM, images: ImageLabelDataset, tmp_path: Path):
    labels = {name: [c for c, shown in zip(CLASSES, present) if shown] for name, present in LABELS.items()}
    (tmp_path / 'labels.json').write_text(json.dumps({'classes': CLASSES, 'labels': labels}))
    shutil.copytree(root, tmp_path / 'voc')
    shutil.rmtree(tmp_path / 'voc/SegmentationClass')
    without = Config(color_cam_config(tmp_path / 'voc', size=(64, 48)))
    without.train_dataloader.dataset.update(labels_from_masks=False, label_file=str(tmp_path / 'labels.json'))
    del without.train_dataloader.dataset.dataset.data_prefix['seg_map_path']
    make_pseudo_labels(model, labelled_images(without), tmp_path / 'a', HALF)
    make_pseudo_labels(model, images, tmp_path / 'b', HALF)
    assert contents(tmp_path / 'a') == contents(tmp_path / 'b')


def test_finished_labels_are_kept_and_damaged_ones_made_again(model: ColorCAM, images: ImageLabelDataset,
                                                              tmp_path: Path):
    make_pseudo_labels(model, images, tmp_path, HALF)
    before = contents(tmp_path)
    ages = {name: (tmp_path / f'{name}.png').stat().st_mtime_ns for name in TRAIN}
    (tmp_path / 'img_001.png').unlink()
    (tmp_path / 'img_004.png').write_bytes(before['img_004.png'][:-20])
    summary = make_pseudo_labels(model, images, tmp_path, HALF)
    assert (summary.num_written, summary.num_kept) == (2, 4)
    assert summary.pixels.sum() == 6 * 40 * 56
    assert contents(tmp_path) == before
    kept = [name for name in TRAIN if (tmp_path / f'{name}.png').stat().st_mtime_ns == ages[name]]
    assert kept == ['img_000', 'img_002', 'img_003', 'img_005']


def run_until_killed(model: ColorCAM, images: ImageLabelDataset, folder: Path) -> None:
    """Make labels; in the midst of writing the fourth, the process is killed."""
    torch.set_num_threads(1)
    save, calls = Image.Image.save, []

    def save_half(image: Image.Image, path: Path, **options: object) -> None:
        save(image, path, **options)
        calls.append(path)
        if len(calls) == 4:
            Path(path).write_bytes(Path(path).read_bytes()[:100])
            os.kill(os.getpid(), signal.SIGKILL)

    Image.Image.save = save_half
    make_pseudo_labels(model, images, folder, HALF)


def test_a_killed_run_goes_on_to_the_same_folder(model: ColorCAM, images: ImageLabelDataset, tmp_path: Path):
    process = mp.get_context('fork').Process(target=run_until_killed, args=(model, images, tmp_path / 'a'))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    hidden = [path.name.startswith('.') for path in (tmp_path / 'a').glob('*.png')]
    assert (hidden.count(False), hidden.count(True)) == (3, 1)
    summary = make_pseudo_labels(model, images, tmp_path / 'a', HALF)
    assert (summary.num_written, summary.num_kept) == (3, 3)
    make_pseudo_labels(model, images, tmp_path / 'b', HALF)
    assert contents(tmp_path / 'a') == contents(tmp_path / 'b')


def run_rank(rank: int, cfg: Config, folder: Path, queue: mp.Queue) -> None:
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'file://{folder}.init', rank=rank, world_size=2)
    images, model = labelled_images(cfg), init_model(cfg)
    summary = make_pseudo_labels(model, images, folder, HALF)
    try:
        make_pseudo_labels(model, images, folder, expand_short_forms(threshold=.6))
        message = ''
    except ValueError as error:
        message = str(error)
    queue.put((summary.num_written, summary.pixels.tolist(), message))
    dist.destroy_process_group()


def test_two_ranks_share_the_images(cfg: Config, model: ColorCAM, images: ImageLabelDataset, tmp_path: Path):
    context = mp.get_context('fork')
    queue = context.Queue()
    ranks = [context.Process(target=run_rank, args=(rank, cfg, tmp_path / 'a', queue)) for rank in range(2)]
    [rank.start() for rank in ranks]
    found = [queue.get(timeout=120) for _ in ranks]
    [rank.join() for rank in ranks]
    expected = make_pseudo_labels(model, images, tmp_path / 'b', HALF)
    assert contents(tmp_path / 'a') == contents(tmp_path / 'b')
    for written, pixels, message in found:
        assert written == 6
        assert pixels == expected.pixels.tolist()
        assert "label_cfg.steps.0.levels is [0.5] there and [0.6] now" in message


def test_splits_by_name_and_by_list(root: Path, cfg: Config, tmp_path: Path):
    assert labelled_images(cfg).image_ids == TRAIN
    assert labelled_images(cfg, 'val').image_ids == ['img_006', 'img_007', 'img_008']
    (tmp_path / 'plain.txt').write_text('img_007\nimg_002\n')
    assert labelled_images(cfg, str(tmp_path / 'plain.txt')).image_ids == ['img_007', 'img_002']
    with pytest.raises(FileNotFoundError, match="'train', 'val', 'test' or a list.*trainval"):
        labelled_images(cfg, 'trainval')
    bare = Config({'train_dataloader': {'dataset': cfg.train_dataloader.dataset.dataset}})
    with pytest.raises(ValueError, match='ImageLabelDataset'):
        labelled_images(bare)
    with pytest.raises(ValueError, match='no val_dataloader'):
        labelled_images(bare, 'val')


def test_images_without_class_become_background(cfg: Config, root: Path, model: ColorCAM, tmp_path: Path):
    labels = {name: [] if name == 'img_003' else ['disc'] for name in TRAIN}
    (tmp_path / 'labels.json').write_text(json.dumps({'classes': CLASSES, 'labels': labels}))
    some = Config(color_cam_config(root))
    some.train_dataloader.dataset.update(labels_from_masks=False, label_file=str(tmp_path / 'labels.json'))
    make_pseudo_labels(model, labelled_images(some), tmp_path / 'out', expand_short_forms(threshold=.5, post='par'))
    assert not read_label_map(tmp_path / 'out/img_003.png').any()
    assert read_label_map(tmp_path / 'out/img_000.png').any()


def test_an_unreadable_image_is_named(root: Path, model: ColorCAM, tmp_path: Path):
    shutil.copytree(root, tmp_path / 'voc')
    (tmp_path / 'voc/JPEGImages/img_002.jpg').write_bytes(b'no image')
    images = labelled_images(Config(color_cam_config(tmp_path / 'voc')))
    with pytest.raises(PseudoLabelError, match='img_002.jpg .*cannot be processed'):
        make_pseudo_labels(model, images, tmp_path / 'out', HALF)
    assert not list((tmp_path / 'out').glob('.*'))


def test_a_full_disk_is_named_and_leaves_nothing_half_written(model: ColorCAM, images: ImageLabelDataset,
                                                              tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def save_half(image: Image.Image, path: Path, **options: object) -> None:
        Path(path).write_bytes(b'half')
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, 'save', save_half)
        with pytest.raises(PseudoLabelError, match='img_000 could not be written .*No space left.*from here'):
            make_pseudo_labels(model, images, tmp_path, HALF)
    assert [path.name for path in tmp_path.iterdir()] == ['pseudo_labels.json']
    assert make_pseudo_labels(model, images, tmp_path, HALF).num_written == 6


def test_parts_that_do_not_fit_are_refused(cfg: Config, root: Path, model: ColorCAM, images: ImageLabelDataset,
                                           tmp_path: Path):
    three = init_model(Config(color_cam_config(root, colors=(*COLORS, (0, 0, 0)))))
    with pytest.raises(ValueError, match='3 classes against 2'):
        make_pseudo_labels(three, images, tmp_path, HALF)
    three.dataset_meta = {}
    with pytest.raises(ValueError, match='maps of 3 classes, the data set has 2'):
        make_pseudo_labels(three, images, tmp_path, HALF)
    with pytest.raises(TypeError, match='predict_cams'):
        make_pseudo_labels(torch.nn.Linear(1, 1), images, tmp_path, HALF)
    with pytest.raises(TypeError, match='image labels'):
        make_pseudo_labels(model, images.dataset, tmp_path, HALF)


def test_size_of_class_maps_is_estimated(images: ImageLabelDataset):
    def estimate(**settings: object) -> int:
        return estimate_map_bytes(images, range(6), build_outputs(expand_short_forms(threshold=.5, **settings)))

    assert estimate(save_cams=True) == 8 * 40 * 56 * 2
    assert estimate(save_cams=True, cam_stride=4) == 8 * 10 * 14 * 2
    assert estimate(save_cams=True, crf_alphas=(1, 12), cam_format='npy') == (8 + 2 * (8 + 6)) * 40 * 56 * 4
    saved = build_outputs(expand_short_forms(threshold=.5, save_cams=True))
    assert estimate() == estimate_map_bytes(images, [], saved) == 0


def safe_cases() -> list:
    """Output folders, as parts below a folder with data and maps, and what the refusal says."""
    return [('voc', 'contains'), ('voc/JPEGImages', 'is the same as'), ('voc/SegmentationClass', 'is the same as'),
            ('voc/JPEGImages/masks', 'lies inside'), ('voc/SegmentationClass/a/b', 'lies inside'), ('', 'contains'),
            ('voc/ImageSets', 'contains'), ('voc/ImageSets/Segmentation', 'contains'), ('model', 'contains'),
            ('link', 'is the same as'), ('link/new', 'lies inside'), ('voc/new/../JPEGImages', 'is the same as'),
            ('voc/./SegmentationClass/', 'is the same as'), ('root/JPEGImages', 'is the same as'), ('root', 'contains')]


@pytest.mark.parametrize('overwrite', [False, True])
@pytest.mark.parametrize(('name', 'message'), safe_cases())
def test_a_folder_that_overlaps_with_an_input_is_refused(root: Path, model: ColorCAM, tmp_path: Path, name: str,
                                                         message: str, overwrite: bool):
    shutil.copytree(root, tmp_path / 'voc')
    (tmp_path / 'link').symlink_to(tmp_path / 'voc/JPEGImages')
    (tmp_path / 'root').symlink_to(tmp_path / 'voc')
    (tmp_path / 'voc/new').mkdir()
    (tmp_path / 'model').mkdir()
    (tmp_path / 'model/epoch_1.pth').write_bytes(b'weights')
    before = contents(tmp_path)
    images = labelled_images(Config(color_cam_config(tmp_path / 'voc')))
    with pytest.raises(OutputError, match=f'{message} .*which this run reads'):
        make_pseudo_labels(model, images, tmp_path / name, HALF, overwrite=overwrite,
                           inputs=[tmp_path / 'model/epoch_1.pth', None, 'https://host/file.pth', tmp_path / 'missing'])
    assert contents(tmp_path) == before


@pytest.mark.parametrize('overwrite', [False, True])
@pytest.mark.parametrize('foreign', ['img_000.png', 'photo.jpg', 'sub/notes.txt', '.hidden', 'cams/img_000.npz'])
def test_a_folder_that_is_not_ours_is_refused(model: ColorCAM, images: ImageLabelDataset, tmp_path: Path, foreign: str,
                                              overwrite: bool):
    (tmp_path / foreign).parent.mkdir(exist_ok=True)
    (tmp_path / foreign).write_bytes(b'mine')
    with pytest.raises(OutputError, match='no pseudo_labels.json that says mmwsss has written them.*an empty folder'):
        make_pseudo_labels(model, images, tmp_path, expand_short_forms(threshold=.5, save_cams=True),
                           overwrite=overwrite)
    assert contents(tmp_path) == {foreign: b'mine'}


def test_foreign_files_in_a_folder_of_ours_stay(model: ColorCAM, images: ImageLabelDataset, tmp_path: Path):
    make_pseudo_labels(model, images, tmp_path, HALF)
    (tmp_path / 'mine.png').write_bytes(b'mine')
    make_pseudo_labels(model, images, tmp_path, expand_short_forms(threshold=.6), overwrite=True)
    assert (tmp_path / 'mine.png').read_bytes() == b'mine'
    edited = Image.open(tmp_path / 'img_000.png')
    edited.putpixel((3, 3), 1 - edited.getpixel((3, 3)))
    edited.save(tmp_path / 'img_000.png')
    by_hand = (tmp_path / 'img_000.png').read_bytes()
    for arguments in (dict(label_cfg=HALF, overwrite=True), dict(label_cfg=expand_short_forms(threshold=.6)),
                      dict(label_cfg=HALF, refresh=True)):
        with pytest.raises(OutputError, match='img_000.png.*'):
            make_pseudo_labels(model, images, tmp_path, **arguments)
        assert (tmp_path / 'img_000.png').read_bytes() == by_hand


def test_maps_that_are_not_numbers_are_named(cfg: Config, images: ImageLabelDataset, tmp_path: Path):
    broken = init_model(cfg)
    broken.extract_cams = lambda inputs: {'logits': torch.zeros(1, 2)}
    broken.predict_cams = lambda inputs, classes, scored_view: {
        'cams': torch.full((1, len(classes), *inputs.shape[-2:]), torch.nan)}
    with pytest.raises(PseudoLabelError, match='CAMs of image img_000 are NaN or infinite'):
        make_pseudo_labels(broken, images, tmp_path, HALF)


def test_more_classes_than_a_label_map_holds_are_refused_at_the_start(model: ColorCAM, images: ImageLabelDataset,
                                                                      tmp_path: Path):
    many = copy.copy(images)
    many.classes = tuple(f'class {k}' for k in range(255))
    with pytest.raises(UserError, match='the data set has 255 classes; label maps have 8 bits and hold at most 254'):
        make_pseudo_labels(model, many, tmp_path / 'out', HALF)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(('size', 'free', 'level'), [
    (2**20, 2**40, logging.INFO), (5 * 2**30, 2**40, logging.WARNING), (2**20, 2**19, logging.WARNING)])
def test_large_maps_are_announced_before_they_are_made(model: ColorCAM, images: ImageLabelDataset, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch, size: int, free: int,
                                                       level: int):
    found = []
    monkeypatch.setattr(generation, 'print_log', lambda text, logger, level: found.append((text, level)))
    monkeypatch.setattr(generation, 'notify', lambda text: found.append((text, logging.INFO)))
    monkeypatch.setattr(generation, 'estimate_map_bytes', lambda *_: size)
    monkeypatch.setattr(generation.shutil, 'disk_usage', lambda _: SimpleNamespace(free=free))
    make_pseudo_labels(model, images, tmp_path, expand_short_forms(threshold=.5, save_cams=True, cam_stride=8))
    assert [(text.split(' in ')[0], one) for text, one in found] == [
        (f'the CAMs take up to {size / 2**20:,.1f} MiB before compression,', level)]


def test_an_image_on_which_the_network_fails_is_named(cfg: Config, images: ImageLabelDataset, tmp_path: Path):
    broken = init_model(cfg)

    def fail(inputs, **_):
        raise RuntimeError("Kernel size can't be greater than actual input size")

    broken.extract_cams = fail
    with pytest.raises(PseudoLabelError, match="img_000 of 40 x 56 pixels cannot be processed: Kernel size"):
        make_pseudo_labels(broken, images, tmp_path, HALF)


class MemoryBackend(BaseStorageBackend):
    """Files that exist in memory only."""

    files: ClassVar[dict] = {}

    def get(self, filepath: str) -> bytes:
        return self.files[filepath.split('://')[1]]

    def get_text(self, filepath: str, encoding: str = 'utf-8') -> str:
        return self.get(filepath).decode(encoding)


def test_images_come_from_any_storage_and_are_read_once(root: Path, model: ColorCAM, images: ImageLabelDataset,
                                                        tmp_path: Path):
    """All steps that look at the image work on data that are on no disk."""
    if 'memory' not in fileio_backends:
        register_backend('memory', MemoryBackend, prefixes='memory')
    MemoryBackend.files = {f'img/{name}.jpg': (root / f'JPEGImages/{name}.jpg').read_bytes() for name in TRAIN}
    labels = {name: [c for c, shown in zip(CLASSES, present) if shown] for name, present in LABELS.items()}
    (tmp_path / 'labels.json').write_text(json.dumps({'classes': CLASSES, 'labels': labels}))
    (tmp_path / 'ids.txt').write_text('\n'.join(TRAIN))
    stored = Config(color_cam_config(root, size=(64, 48)))
    node = stored.train_dataloader.dataset
    node.update(labels_from_masks=False, label_file=str(tmp_path / 'labels.json'))
    node.pipeline[0].backend_args = dict(backend='memory')
    node.dataset.update(data_root=None, data_prefix=dict(img_path='memory://img'), ann_file=str(tmp_path / 'ids.txt'),
                        backend_args=dict(backend='local'))
    stored.test_dataloader.dataset.pipeline[0].backend_args = dict(backend='memory')
    reads = []
    MemoryBackend.get = lambda self, path, get=MemoryBackend.get: reads.append(path) or get(self, path)
    for post in ('par', 'crf'):
        label_cfg = expand_short_forms(threshold=.4, high=.6, post=post, crf_alphas=(1, ))
        make_pseudo_labels(model, labelled_images(stored), tmp_path / f'memory_{post}', label_cfg, workers=0)
        make_pseudo_labels(model, images, tmp_path / f'disk_{post}', label_cfg, workers=0)
        assert contents(tmp_path / f'memory_{post}') == contents(tmp_path / f'disk_{post}')
    assert len(reads) == 12
