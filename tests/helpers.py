"""What several test files need: a small VOC-like folder, small models, a small run, running a tool."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Optional

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mmwsss.models import Features, ObservableBackbone, Observation, Request, TokenLayout, extract_features
from mmwsss.models.backbones.attention import HeadMaps

from .fork_server import warm_path

REPO = Path(__file__).resolve().parents[1]
"""Path: the repository this test suite stands in."""

CLASSES = ('disc', 'bar')
"""tuple: foreground classes of :func:`write_voc_folder`."""

COLORS = ((220, 60, 40), (40, 90, 220))
PALETTE = ((0, 0, 0), *COLORS)


def draw_scene(rng: np.random.Generator, size: tuple[int, int],
               labels: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw a noise image with a red disc (label 1) and/or a blue bar (label 2).

    Returns:
        tuple: Image uint8 (H, W, 3) RGB, and mask uint8 (H, W) in {0, 1, 2, 255}, 255 on a one-pixel
        frame.
    """
    height, width = size
    image = rng.integers(90, 160, (height, width, 3)).astype(np.uint8)
    mask = np.zeros((height, width), np.uint8)
    rows, cols = np.mgrid[:height, :width]
    if 1 in labels:
        center = rng.uniform(0.3, 0.5, 2) * (height, width)
        mask[(rows - center[0])**2 + (cols - center[1])**2 < (height / 4)**2] = 1
    if 2 in labels:
        left = int(width * rng.uniform(0.6, 0.75))
        mask[height // 6:height - height // 6, left:left + width // 6] = 2
    for label in labels:
        image[mask == label] = COLORS[label - 1]
    mask[[0, -1]] = 255
    mask[:, [0, -1]] = 255
    return image, mask


def write_voc_folder(root: Path, num_train: int = 6, num_val: int = 3, size: tuple[int, int] = (40, 56),
                     seed: int = 0) -> Path:
    """Write a data set in VOC's layout: JPEGImages, SegmentationClass, ImageSets/Segmentation.

    Image ``i`` is ``img_00i``; the labels cycle through (1,), (2,), (1, 2). ``classes.txt`` lists
    :data:`CLASSES`, without background. Splits are ``train.txt`` and ``val.txt``.

    Returns:
        Path: ``root``.
    """
    root = Path(root)
    rng = np.random.default_rng(seed)
    folders = {name: root / name for name in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation')}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    ids = [f'img_{index:03d}' for index in range(num_train + num_val)]
    for index, image_id in enumerate(ids):
        image, mask = draw_scene(rng, size, ((1, ), (2, ), (1, 2))[index % 3])
        Image.fromarray(image).save(folders['JPEGImages'] / f'{image_id}.jpg', quality=95)
        picture = Image.fromarray(mask).convert('P')
        picture.putpalette(np.pad(np.array(PALETTE, np.uint8), ((0, 253), (0, 0))).tobytes())
        picture.save(folders['SegmentationClass'] / f'{image_id}.png')
    for split, chosen in (('train', ids[:num_train]), ('val', ids[num_train:])):
        (folders['ImageSets/Segmentation'] / f'{split}.txt').write_text('\n'.join(chosen) + '\n')
    (root / 'classes.txt').write_text('\n'.join(CLASSES) + '\n')
    return root


def write_photos(folder: Path, count: int) -> list[str]:
    """Write photographs of discs and bars into two class folders.

    Args:
        folder (Path): A new folder.
        count (int): Photographs of each class.

    Returns:
        list[str]: Their ids, such as ``disc/0``.
    """
    rng, ids = np.random.default_rng(0), []
    for name, label in (('disc', 1), ('bar', 2)):
        (folder / name).mkdir(parents=True)
        for k in range(count):
            image, _ = draw_scene(rng, (48, 64), [label])
            Image.fromarray(image).save(folder / f'{name}/{k}.jpg')
            ids.append(f'{name}/{k}')
    return ids


def tiny_segmentor(num_classes: int = 3, prefix: str = '', **decode_head: Any) -> dict:
    """Return the config of a small mmseg segmentor (ResNet-18 of a few channels, FCN head).

    Args:
        num_classes: Classes with background.
        prefix: Put before mmseg's type names, ``'mmseg.'`` for instance.
        decode_head: Overrides of the decode head's config, ``loss_decode`` for instance.
    """
    norm = dict(type='BN', requires_grad=True)
    head = dict(type=f'{prefix}FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1, concat_input=False,
                num_classes=num_classes, norm_cfg=norm, align_corners=False)
    head.update(decode_head)
    return dict(
        type=f'{prefix}EncoderDecoder',
        data_preprocessor=dict(type=f'{prefix}SegDataPreProcessor', mean=[123.675, 116.28, 103.53],
                               std=[58.395, 57.12, 57.375], bgr_to_rgb=True, pad_val=0, seg_pad_val=255,
                               size=(32, 32)),
        backbone=dict(type=f'{prefix}ResNet', depth=18, base_channels=4, stem_channels=4, norm_cfg=norm,
                      strides=(1, 2, 1, 1), dilations=(1, 1, 1, 1)),
        decode_head=head,
        train_cfg=dict(),
        test_cfg=dict(mode='whole'))


def tiny_dataloader(data_root: Path, split: str, batch_size: int = 2) -> dict:
    """Return a dataloader config over :func:`write_voc_folder`, with mmseg's dataset and bare names."""
    train = split == 'train'
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    pipeline += [dict(type='Resize', scale=(32, 32), keep_ratio=False)] if train else []
    pipeline += [dict(type='PackSegInputs')]
    dataset = dict(type='BaseSegDataset', data_root=str(data_root),
                   data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
                   ann_file=f'ImageSets/Segmentation/{split}.txt', img_suffix='.jpg', seg_map_suffix='.png',
                   metainfo=dict(classes=('background', *CLASSES), palette=[list(color) for color in PALETTE]),
                   pipeline=pipeline)
    return dict(batch_size=batch_size if train else 1, num_workers=0, persistent_workers=False,
                sampler=dict(type='InfiniteSampler' if train else 'DefaultSampler', shuffle=train),
                dataset=dataset)


def tiny_runner_cfg(data_root: Path, work_dir: Path, scope: str = 'mmwsss', model: Optional[dict] = None,
                    max_iters: int = 2) -> dict:
    """Return the config of a run that trains ``max_iters`` iterations, validates, saves once."""
    return dict(
        default_scope=scope,
        work_dir=str(work_dir),
        model=model or tiny_segmentor(),
        train_dataloader=tiny_dataloader(data_root, 'train'),
        val_dataloader=tiny_dataloader(data_root, 'val'),
        test_dataloader=tiny_dataloader(data_root, 'val'),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters),
        val_cfg=dict(type='ValLoop'),
        test_cfg=dict(type='TestLoop'),
        val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU'], prefix='seg'),
        test_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU'], prefix='seg'),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)),
        default_hooks=dict(
            timer=dict(type='IterTimerHook'),
            logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
            param_scheduler=dict(type='ParamSchedulerHook'),
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=max_iters),
            sampler_seed=dict(type='DistSamplerSeedHook'),
            visualization=dict(type='SegVisualizationHook')),
        visualizer=dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer'),
        env_cfg=dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
                     dist_cfg=dict(backend='nccl')),
        log_processor=dict(by_epoch=False, window_size=1),
        randomness=dict(seed=0),
        log_level='WARNING')


NOISE = ('Could not import OneDL', 'You should install', 'requires_grad=False', "Only use 'alpha'", 'NUM_THREADS',
         'System environment', 'default_hooks', 'Hooks will be executed', 'BELOW_NORMAL', 'paramwise_options',
         'FileClient', 'Loads checkpoint by', 'Failed to search registry', 'Saving checkpoint', 'Traceback')
"""tuple[str, ...]: What the log of a run may contain, but not the console of a tool."""


def assert_quiet(output: str, most_lines: int) -> None:
    """Check that the output of a tool is short and contains no :data:`NOISE`."""
    assert len(output.splitlines()) <= most_lines, output
    assert not [noise for noise in NOISE if noise in output], output


def write_config(cfg: dict, path: Path) -> Path:
    """Write a config dict as a Python config file."""
    from mmengine.config import Config
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Config(cfg).dump(str(path))
    return path


def read_scalars(work_dir: Path) -> list[dict]:
    """Read what all runs in a work dir logged, a dict per line, in order."""
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    return [json.loads(line) for log in logs for line in log.read_text().splitlines()]


def tool_environment() -> dict[str, str]:
    """Return the environment of a child process: one thread, and the package of this repository."""
    paths = os.pathsep.join(filter(None, [str(REPO), os.environ.get('PYTHONPATH')]))
    return {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': paths}


def train_and_kill(work_dir: Path, *args: Any) -> None:
    """Run ``tools/train.py`` and kill it and its workers as soon as there is a checkpoint; return when all are gone."""
    command = [sys.executable, REPO / 'tools/train.py', *args]
    environment = {**tool_environment(), 'PYTHONPATH': warm_path()}
    with subprocess.Popen([str(part) for part in command], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + 300
        while not (work_dir / 'last_checkpoint').exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.poll() is None, f'training ended by itself with {process.returncode}'
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.read()  # ends when no process has the other end of the pipe


def assert_same_state(expected: Path, found: Path) -> None:
    """Compare weights, optimizer and schedules of two checkpoints bit for bit."""
    expected, found = (torch.load(path, weights_only=False) for path in (expected, found))
    assert expected['state_dict'].keys() == found['state_dict'].keys()
    for name, value in expected['state_dict'].items():
        assert torch.equal(value, found['state_dict'][name]), name
    for index, state in expected['optimizer']['state'].items():
        for name, value in state.items():
            assert torch.equal(value, found['optimizer']['state'][index][name]), (index, name)
    assert expected.get('param_schedulers') == found.get('param_schedulers')


def load_tool(script: str) -> ModuleType:
    """Import a tool by its path relative to the repository, to call its functions in this process."""
    spec = importlib.util.spec_from_file_location(f'tool_{Path(script).stem}', REPO / script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call_tool(script: str, *args: Any) -> None:
    """Run a tool's ``main`` with these arguments in this process, which saves the time of its imports."""
    argv = sys.argv
    sys.argv = [script, *map(str, args)]
    try:
        load_tool(script).main()
    finally:
        sys.argv = argv


def run_tool(script: str, *args: Any, cwd: Optional[Path] = None, check: bool = True,
             env: Optional[dict] = None) -> subprocess.CompletedProcess:
    """Run ``python REPO/script args...`` (or ``bash`` for ``.sh``) with one thread, and capture its output.

    The processes of tools are forks of a warm process, see ``fork_server``.

    Args:
        script: Path relative to the repository.
        args: Arguments, turned into strings.
        cwd: Working folder.
        check: Fail the test, showing the output, where the exit status is not 0.
        env: Further environment variables.

    Returns:
        subprocess.CompletedProcess: With text ``stdout``, into which the error output went too.

    Raises:
        AssertionError: The tool failed, or has not ended after ten minutes; the output is shown.
    """
    runner = ['bash'] if script.endswith('.sh') else [sys.executable]
    environment = {**tool_environment(), 'COLUMNS': '160', 'PYTHON': sys.executable, 'PYTHONPATH': warm_path(),
                   **(env or {})}
    try:
        result = subprocess.run([*runner, str(REPO / script), *map(str, args)], cwd=cwd, env=environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b'').decode(errors='replace')
        raise AssertionError(f'{script} has not ended after {error.timeout:.0f} s:\n{output}') from None
    if check and result.returncode != 0:
        raise AssertionError(f'{script} ended with {result.returncode}:\n{result.stdout}')
    return result


def start_call(function: str, *args: Any) -> subprocess.Popen:
    """Start a process, as :func:`run_tool` does, that calls ``'module:function'`` with these arguments as strings."""
    command = [sys.executable, REPO / 'tests/fork_server/call.py', function, *args]
    return subprocess.Popen([str(part) for part in command], cwd=REPO,
                            env={**tool_environment(), 'PYTHONPATH': warm_path()})


@dataclass(frozen=True)
class KeptAttention(Observation):
    """Attention (B, H, T, T) of every observed layer, by layer."""

    reads: ClassVar[str] = 'heads'

    def init(self, layout: TokenLayout) -> dict:
        return {}

    def update(self, state: dict, layer: int, value: HeadMaps) -> dict:
        state.setdefault(layer, []).append(value.maps)
        return state

    def finish(self, state: dict) -> dict[int, Tensor]:
        return {layer: torch.cat(heads, dim=1) for layer, heads in state.items()}


def attention_maps(backbone: nn.Module, images: Tensor, grad: bool = False) -> list[Tensor]:
    """Return the attention (B, H, T, T) of all layers."""
    kept = KeptAttention(grad=grad)
    return list(extract_features(backbone, images, Request(observations=(kept, )))[kept].values())


def run_head(head: nn.Module, backbone: nn.Module, images: Tensor, names: Sequence[str] = (),
             classes: Optional[Tensor] = None, extra: Optional[Request] = None) -> dict[str, Tensor]:
    """Return a CAM head's scores, and the maps listed in ``names``, of one pass that ``extra`` is added to."""
    request = head.request(names, classes)
    features = extract_features(backbone, images, request if extra is None else request + extra)
    return {**head(features), **head.maps(features, names, classes)}


class GivenBackbone(ObservableBackbone, nn.Module):
    """A backbone without weights, for worked examples: what it gives is written down in :meth:`given`.

    Attributes:
        asked: The layers that were observed in the last pass, in order.
    """

    def given(self, images: Tensor) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
        """Return the last map (B, D, h, w), class tokens (B, M, D) and attention (B, H, T, T) of each layer."""
        raise NotImplementedError

    def encode(self, images: Tensor, request: Request) -> Features:
        last, class_tokens, attention = self.given(images)
        layout = TokenLayout(len(attention), attention[0].shape[1], class_tokens.shape[1], tuple(last.shape[-2:]))
        states = {item: item.init(layout) for item in request.observations}
        layers = {item: layout.layer_indices(item.layers) for item in states}
        self.asked = sorted(set().union(*layers.values()))
        for layer, item in ((layer, item) for layer in self.asked for item in states if layer in layers[item]):
            assert item.reads == 'heads'
            states[item] = item.update(states[item], layer, HeadMaps(attention[layer], 0))
        return Features((last, ) if request.maps else (), layout.grid, class_tokens,
                        observed={item: item.finish(state) for item, state in states.items()}, layout=layout)


def assert_close_weights(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Compare the weights of two trainings that add up gradients in a different order.

    Biases of keys are left out. Attention does not depend on them, so their gradients are rounding errors around 0,
    which Adam scales to the size of a step.
    """
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        other = found[name]
        if name.endswith('qkv.bias'):
            value, other = (bias.view(3, -1)[[0, 2]] for bias in (value, other))
        torch.testing.assert_close(other, value, rtol=1e-3, atol=2e-5, msg=lambda text, name=name: f'{name}: {text}')
