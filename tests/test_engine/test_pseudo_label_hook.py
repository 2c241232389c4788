import faulthandler
import json
import os
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Optional

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner

from mmwsss.apis import (
    PseudoLabelError,
    expand_short_forms,
    init_model,
    labelled_images,
    make_pseudo_labels,
)
from mmwsss.datasets.map_files import read_label_map
from mmwsss.engine.hooks import PseudoLabelHook
from mmwsss.pseudo_labels import writer as writer_module
from tests.color_cam import color_cam_config
from tests.helpers import start_call, tiny_dataloader, tiny_runner_cfg, write_config, write_voc_folder

TRAIN = [f'img_{i:03d}' for i in range(6)]


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voc_folder(tmp_path_factory.mktemp('voc'))


def image_label_dataset(root: Path) -> dict:
    dataset = tiny_dataloader(root, 'train')['dataset']
    return {'type': 'mmwsss.ImageLabelDataset', 'labels_from_masks': True, 'dataset': {**dataset, 'pipeline': []}}


def segmentor_cfg(root: Path, work_dir: Path, hook: Optional[dict] = None, max_iters: int = 2, scope: str = 'mmwsss',
                  **changes: object) -> Config:
    """A run of mmseg's own parts, and the hook."""
    cfg = tiny_runner_cfg(root, work_dir, scope, max_iters=max_iters)
    cfg['custom_imports'] = {'imports': ['mmwsss']}
    cfg['val_cfg'] = cfg['val_dataloader'] = cfg['val_evaluator'] = None
    if hook is not None:
        cfg['custom_hooks'] = [{'type': 'mmwsss.PseudoLabelHook', 'threshold': .5,
                                'dataset': image_label_dataset(root), **hook}]
    return Config({**cfg, **changes})


def stub_runner(cfg: Config, model: torch.nn.Module, work_dir: Path, **progress: int) -> SimpleNamespace:
    return SimpleNamespace(cfg=cfg, model=model, work_dir=str(work_dir), **{'iter': 0, 'epoch': 0, **progress})


def contents(folder: Path) -> dict:
    return {path.name: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize('scope', ['mmwsss', 'mmseg'])
def test_a_segmentor_labels_the_images_it_was_trained_on(root: Path, tmp_path: Path, scope: str):
    hook = {'high': .55, 'post': 'crf', 'save_cams': True, 'cam_stride': 4}
    cfg = segmentor_cfg(root, tmp_path, hook, scope=scope)
    Runner.from_cfg(cfg).train()
    labels = {name: read_label_map(tmp_path / f'pseudo_labels/{name}.png') for name in TRAIN}
    assert {values for name in TRAIN[::3] for values in np.unique(labels[name])} <= {0, 1, 255}
    assert {values for name in TRAIN[1::3] for values in np.unique(labels[name])} <= {0, 2, 255}
    model = init_model(cfg, tmp_path / 'iter_2.pth')
    images = labelled_images(cfg, dataset=image_label_dataset(root))
    settings = expand_short_forms(threshold=.5, high=.55, post='crf', save_cams=True, cam_stride=4)
    make_pseudo_labels(model, images, tmp_path / 'by_hand', settings)
    for name in TRAIN:
        np.testing.assert_array_equal(read_label_map(tmp_path / f'by_hand/{name}.png'), labels[name])
        assert (tmp_path / f'pseudo_labels/cams/{name}.npz').read_bytes() == (
            tmp_path / f'by_hand/cams/{name}.npz').read_bytes()


def test_a_threshold_of_a_half_gives_the_most_probable_label_of_the_image(root: Path, tmp_path: Path):
    cfg = segmentor_cfg(root, tmp_path)
    torch.manual_seed(1)
    model = init_model(cfg)
    images = labelled_images(cfg, dataset=image_label_dataset(root))
    make_pseudo_labels(model, images, tmp_path, expand_short_forms(threshold=.5))
    seen = set()
    for index, name in enumerate(TRAIN):
        sample = images[index]
        with torch.no_grad():
            logits = model.test_step({'inputs': [sample['inputs']],
                                      'data_samples': [sample['data_samples']]})[0].seg_logits.data
        logits[1:][torch.from_numpy(images.gt_labels[index]) == 0] = -torch.inf
        labels = read_label_map(tmp_path / f'{name}.png')
        np.testing.assert_array_equal(labels, logits.argmax(0))
        seen |= set(np.unique(labels))
    assert len(seen) > 1


def test_training_is_the_same_with_and_without(root: Path, tmp_path: Path):
    states = []
    for name, hook in (('with', {'interval': 1, 'by_epoch': False, 'workers': 1, 'post': 'crf'}), ('without', None)):
        runner = Runner.from_cfg(segmentor_cfg(root, tmp_path / name, hook, max_iters=3))
        runner.train()
        states.append((runner.model.state_dict(), random.random(), np.random.rand(), torch.rand(1).item()))
        assert all(module.training for module in runner.model.modules())
    for key, value in states[0][0].items():
        assert torch.equal(value, states[1][0][key]), key
    assert states[0][1:] == states[1][1:]
    assert len(contents(tmp_path / 'with/pseudo_labels')) == 7


def test_a_killed_refresh_goes_on_with_the_same_weights(root: Path, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch):
    """The run dies while it replaces the labels of iteration 2 by those of iteration 4."""
    hook = {'interval': 2, 'by_epoch': False}
    checkpoints = {'default_hooks.checkpoint.interval': 2}
    cfg = segmentor_cfg(root, tmp_path / 'a', hook, max_iters=4)
    cfg.merge_from_dict(checkpoints)
    write, made = writer_module.write_label_map, []

    def write_until_full(labels: np.ndarray, path: Path, *args: object) -> None:
        if len(made) == 9:
            raise OSError(28, 'No space left on device')
        write(labels, path, *args)
        made.append(path.name)

    with monkeypatch.context() as patch:
        patch.setattr(writer_module, 'write_label_map', write_until_full)
        with pytest.raises(PseudoLabelError, match='No space left'):
            Runner.from_cfg(cfg).train()
    before = contents(tmp_path / 'a/pseudo_labels')
    assert len([read_label_map(tmp_path / f'a/pseudo_labels/{name}.png', strict=True) for name in TRAIN]) == 6
    cfg.resume = True
    with monkeypatch.context() as patch:
        made.clear()
        patch.setattr(writer_module, 'write_label_map', write_until_full)
        Runner.from_cfg(cfg).train()
    assert len(made) == 3
    after = contents(tmp_path / 'a/pseudo_labels')
    assert {name for name in after if after[name] != before.get(name)} == {*made, 'pseudo_labels.json'}
    whole = segmentor_cfg(root, tmp_path / 'b', hook, max_iters=4)
    whole.merge_from_dict(checkpoints)
    Runner.from_cfg(whole).train()
    assert contents(tmp_path / 'b/pseudo_labels') == after


def test_readers_always_find_whole_labels(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cfg = Config(color_cam_config(root))
    model = init_model(cfg)
    hook = PseudoLabelHook()
    hook.write(stub_runner(cfg, model, tmp_path))
    first = contents(tmp_path / 'pseudo_labels')
    write, looks = writer_module.write_label_map, []

    def look_and_write(*args: object) -> None:
        looks.append([read_label_map(tmp_path / f'pseudo_labels/{name}.png', strict=True) for name in TRAIN])
        assert (tmp_path / 'pseudo_labels/pseudo_labels.json').read_bytes() == first['pseudo_labels.json']
        write(*args)

    monkeypatch.setattr(writer_module, 'write_label_map', look_and_write)
    hook.write(stub_runner(cfg, model, tmp_path))
    assert not looks, 'the same weights have been labeled with'
    with torch.no_grad():
        model.cam_head.colors += .05
    hook.write(stub_runner(cfg, model, tmp_path))
    assert len(looks) == 6
    second = contents(tmp_path / 'pseudo_labels')
    assert all(second[name] != first[name] for name in first)
    assert json.loads(second['pseudo_labels.json'])['settings']['weights']


def test_when_it_writes(root: Path, monkeypatch: pytest.MonkeyPatch):
    writes = []
    monkeypatch.setattr(PseudoLabelHook, 'write', lambda self, runner: writes.append((runner.epoch, runner.iter)))

    cfg = Config(color_cam_config(root))
    model = init_model(cfg)

    def run(**arguments: object) -> list:
        hook = PseudoLabelHook(threshold=.5, **arguments)
        writes.clear()
        for epoch, iteration in ((0, 0), (3, 6), (4, 8)):
            hook.before_train(stub_runner(cfg, model, root, epoch=epoch, iter=iteration))
        for iteration in range(6):
            hook.after_train_iter(SimpleNamespace(epoch=iteration // 2, iter=iteration), 0)
            if iteration % 2:
                hook.after_train_epoch(SimpleNamespace(epoch=iteration // 2, iter=iteration))
        hook.after_train(SimpleNamespace(epoch=9, iter=9))
        return list(writes)

    assert run() == [(9, 9)]
    assert run(interval=2) == [(4, 8), (1, 3), (9, 9)]
    assert run(interval=3, by_epoch=False, after_train=False) == [(3, 6), (1, 2), (2, 5)]


def run_rank(rank: int, cfg: Config, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'file://{folder}.init', rank=rank, world_size=2)
    model = init_model(cfg)
    model.register_buffer('own', torch.tensor([float(rank)]))
    model = MMDistributedDataParallel(model, broadcast_buffers=False).train()
    PseudoLabelHook().write(stub_runner(cfg, model, folder))
    assert model.module.own.item() == rank
    assert model.training
    dist.barrier()


def run_rank_alone(rank: str, config: str, folder: str) -> None:
    """Be a process of :func:`test_processes_share_the_images`."""
    faulthandler.dump_traceback_later(250)  # a process that hangs shows where
    run_rank(int(rank), Config.fromfile(config), Path(folder))
    os._exit(0)  # threads of gloo can outlive the interpreter and hold it up


def test_processes_share_the_images(root: Path, tmp_path: Path):
    cfg = Config(color_cam_config(root))
    path = write_config(color_cam_config(root), tmp_path / 'config.py')
    # No forks of this process: one that has had threads can hang.
    ranks = [start_call(f'{__name__}:run_rank_alone', rank, path, tmp_path / 'two') for rank in range(2)]
    try:
        # On a busy machine the imports of two processes take minutes.
        assert [rank.wait(300) for rank in ranks] == [0, 0]
    finally:
        for rank in ranks:
            rank.kill()  # one that hangs would outlive the tests
    model = init_model(cfg)
    model.register_buffer('own', torch.zeros(1))
    PseudoLabelHook().write(stub_runner(cfg, model, tmp_path / 'one'))
    assert contents(tmp_path / 'two/pseudo_labels') == contents(tmp_path / 'one/pseudo_labels')


def test_foreign_labels_and_wrong_settings_are_refused(root: Path, tmp_path: Path):
    cfg = Config(color_cam_config(root))
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/img_001.png').write_bytes(b'by hand')
    with pytest.raises(ValueError, match='no pseudo_labels.json that says'):
        PseudoLabelHook('mine').write(stub_runner(cfg, init_model(cfg), tmp_path))
    assert (tmp_path / 'mine/img_001.png').read_bytes() == b'by hand'
    for arguments, message in (({'interval': 0}, 'interval'), ({'after_train': False}, 'never write'),
                               ({'high': 2}, 'high=2'), ({'post': 'nn'}, "'nn'"),
                               ({'amp': 'half'}, 'amp must be one of bf16, fp16'),
                               ({'label_cfg': {}, 'threshold': .5}, 'label_cfg or short forms, got .*threshold'),
                               ({'label_cfg': {'step': []}}, "unknown key 'step'")):
        with pytest.raises(ValueError, match=message):
            PseudoLabelHook(**arguments)
    with pytest.raises(TypeError, match='tolerance'):
        PseudoLabelHook(tolerance=.5)
    plain = segmentor_cfg(root, tmp_path)
    with pytest.raises(ValueError, match='ImageLabelDataset'):
        PseudoLabelHook(threshold=.5).before_train(stub_runner(plain, init_model(plain), tmp_path))
    with pytest.raises(ValueError, match='no threshold'):
        PseudoLabelHook().before_train(stub_runner(plain, init_model(plain), tmp_path))
    with pytest.raises(TypeError, match='ColorCAM: it is no mmseg segmentor'):
        PseudoLabelHook(source='segmentation').before_train(stub_runner(cfg, init_model(cfg), tmp_path))
    with pytest.raises(ValueError, match='amp fp16 takes a GPU'):
        PseudoLabelHook(threshold=.5, amp='fp16').before_train(stub_runner(cfg, init_model(cfg), tmp_path))


def test_the_precision_is_among_the_settings(root: Path, tmp_path: Path):
    cfg = Config(color_cam_config(root))
    PseudoLabelHook(threshold=.5, amp='bf16').write(stub_runner(cfg, init_model(cfg), tmp_path))
    assert json.loads((tmp_path / 'pseudo_labels/pseudo_labels.json').read_text())['settings']['amp'] == 'bf16'


def test_the_list_itself(root: Path, tmp_path: Path):
    cfg = Config(color_cam_config(root))
    steps = [dict(type='Downscale', factor=2), dict(type='ConstantBackground', low=.3, high=.6), dict(type='Softmax'),
             dict(type='PixelAdaptiveRefinement')]
    hook = PseudoLabelHook(label_cfg=dict(steps=steps, labeler=dict(type='MergeLevels')))
    runner = stub_runner(cfg, init_model(cfg), tmp_path)
    hook.before_train(runner)
    hook.write(runner)
    PseudoLabelHook('short', threshold=.3, high=.6, post='par').write(runner)
    assert contents(tmp_path / 'pseudo_labels') == contents(tmp_path / 'short')
