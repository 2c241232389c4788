"""AffinityNet's VOC configs with a tiny network, through the tools: training, killed and resumed, random walk."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image
from scipy.ndimage import gaussian_filter

from mmwsss.apis import init_model
from mmwsss.datasets.config import override_data
from mmwsss.datasets.map_files import read_label_map, write_cams, write_label_map

from .helpers import REPO, assert_same_state, call_tool, read_scalars, run_tool, train_and_kill, write_voc_folder

MAKE = 'tools/make_pseudo_labels.py'
SMALL = f"""
_base_ = '{REPO}/configs/psa/CONFIG.py'
model = dict(
    data_preprocessor=dict(size=(80, 80)),
    backbone=dict(base_channels=2, drop_rates=(0., 0.), init_cfg=None),
    affinity_head=dict(in_channels=(16, 32, 128), channels=(4, 4, 8)),
    test_cfg=dict(beta=30, log2_steps=2, threshold=0.3))
train_pipeline = _base_.psa_KIND_pipeline
train_pipeline[3].update(crop_size=80)
train_dataloader = dict(batch_size=2, num_workers=1, persistent_workers=True, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=0.1))
max_epochs = 3
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1, max_keep_ckpts=-1))
log_processor = dict(window_size=1)
"""


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Photographs, and in ``seeds`` what a first stage would leave: blurred masks and labels of two backgrounds."""
    root = write_voc_folder(tmp_path_factory.mktemp('voc'), num_train=5, num_val=2, size=(76, 90))
    seeds, entries = root / 'seeds', {}
    for image_id in (root / 'ImageSets/Segmentation/train.txt').read_text().split():
        mask = np.array(Image.open(root / f'SegmentationClass/{image_id}.png'))
        labels = sorted(set(np.unique(mask)) - {0, 255})
        entries[image_id] = [('disc', 'bar')[label - 1] for label in labels]
        cams = np.stack([gaussian_filter((mask == label).astype(np.float32), 3) for label in labels])
        channels = [int(label) - 1 for label in labels]
        write_cams(cams, channels, mask.shape, seeds / f'cams/{image_id}.npz')
        for alpha in (1, 12):
            planes = np.concatenate([(1 - cams.max(axis=0, keepdims=True, initial=0))**alpha, cams])
            write_cams(planes, [-1, *channels], mask.shape, seeds / f'crf_{alpha}/{image_id}.npz')
        best = cams.max(axis=0)
        hard = np.where(best > .6, np.array(labels)[cams.argmax(axis=0)], np.where(best > .25, 255, 0))
        write_label_map(hard, seeds / f'{image_id}.png')
    (root / 'image_labels.json').write_text(json.dumps(dict(classes=['disc', 'bar'], labels=entries)))
    return root


def arguments(work_dir, data, config='psa_wr38_voc', kind='scores'):
    """Write the config, and give the arguments of a run in ``work_dir``."""
    path = work_dir.with_suffix('.py')
    path.write_text(SMALL.replace('CONFIG', config).replace('KIND', kind))
    return [path, '--work-dir', work_dir, *shared(data)]


def shared(data):
    return ['--data-root', data, '--classes', 'classes.txt', '--cfg-options',
            f'train_dataloader.dataset.pseudo_label_dir={data}/seeds',
            'val_dataloader.dataset.label_file=None', 'test_dataloader.dataset.label_file=None']


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory):
    """Train without interruption."""
    work_dir = tmp_path_factory.mktemp('runs') / 'whole'
    run_tool('tools/train.py', *arguments(work_dir, data))
    return work_dir


def test_losses_rates_and_comparison_with_masks(whole):
    lines = [line for line in read_scalars(whole) if 'loss' in line]
    assert len(lines) == 6, '5 // 2 batches an epoch'
    for line in lines:
        parts = [line[f'loss_{name}'] for name in ('background', 'foreground', 'negative')]
        assert all(np.isfinite(part) for part in parts)
        assert line['loss'] == pytest.approx(sum(parts), rel=1e-5)
    # Logged is the first group's rate, the backbone's.
    assert [line['lr'] for line in lines] == pytest.approx([.1 * (1 - step / 6)**.9 for step in range(6)])
    state = torch.load(whole / 'epoch_3.pth', weights_only=False)['optimizer']
    assert {round(group['initial_lr'], 6) for group in state['param_groups']} == {.1, 1}
    assert {(group['momentum'], group['weight_decay']) for group in state['param_groups']} == {(5e-4, 5e-4)}
    validation, = (line for line in read_scalars(whole) if 'affinity/negative' in line)
    assert 0 < validation['affinity/negative'] < 100


def test_a_killed_run_resumes_bit_for_bit(whole, data, tmp_path):
    work_dir = tmp_path / 'killed'
    args = arguments(work_dir, data)
    train_and_kill(work_dir, *args)
    assert not (work_dir / 'epoch_3.pth').exists()
    run_tool('tools/train.py', args[0], '--resume', *args[1:])
    assert_same_state(whole / 'epoch_3.pth', work_dir / 'epoch_3.pth')


def labels_and_manifest(folder):
    """Return the bytes of all files but the results, which hold durations."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != 'results.json'}


def test_labels_by_random_walk(whole, data, tmp_path, capsys):
    """Through the tool: labels, a restart with the same bytes, and what goes wrong."""
    config = whole.with_suffix('.py')
    words = [config, whole / 'epoch_3.pth', '--cams', data / 'seeds', '--post', 'random-walk', *shared(data)]
    out = tmp_path / 'walk'
    call_tool(MAKE, *words[:2], '--out-dir', out, *words[2:])
    before = labels_and_manifest(out)
    assert len(before) == 6
    assert any(label.any() for label in map(read_label_map, out.glob('*.png')))
    (out / 'img_002.png').unlink()
    call_tool(MAKE, *words[:2], '--out-dir', out, *words[2:])
    assert '1 made in' in capsys.readouterr().out
    assert labels_and_manifest(out) == before
    assert init_model(config, whole / 'epoch_3.pth').extract_affinity(torch.zeros(1, 3, 48, 80)).shape == (1, 60, 60)
    with pytest.raises(ValueError, match='AffinityNet has no CAMs of its own'):
        call_tool(MAKE, *words[:2], '--out-dir', out, *shared(data))


def test_two_processes_compute_what_one_does(whole, data, tmp_path):
    """The pairs of both count."""
    config, *rest = arguments(tmp_path / 'two', data)
    run_tool('tools/dist_train.sh', config, 2, *rest, 'train_dataloader.batch_size=1')
    weights = [torch.load(folder / 'epoch_3.pth', weights_only=False)['state_dict']
               for folder in (whole, tmp_path / 'two')]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-3, atol=2e-5)


def test_label_maps_of_two_backgrounds(data, tmp_path):
    """TransCAM's configs take them in place of scores."""
    config, *_ = arguments(tmp_path / 'labels', data, 'psa_wr38_voc_transcam', 'labels')
    cfg = Config.fromfile(config)
    override_data(cfg, str(data), 'classes.txt')
    cfg.merge_from_dict({'train_dataloader.dataset.pseudo_label_dir': f'{data}/seeds',
                         'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False})
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    seen = set()
    for batch in loader:
        for image, sample in zip(batch['inputs'], batch['data_samples']):
            assert image.shape == (3, 80, 80)
            assert sample.gt_sem_seg.data.shape == (1, 10, 10)
            seen.update(sample.gt_sem_seg.data.unique().tolist())
    assert len(loader) == 2
    assert {0, 255} < seen <= {0, 1, 2, 255}
    model = init_model(cfg).train()
    data_batch = model.data_preprocessor(batch, True)
    assert all(loss.isfinite() for loss in model(**data_batch, mode='loss').values())
