"""What DeepLab's configs say about networks, pictures, schedules and tests."""

import copy

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from mmwsss.datasets.config import override_data
from mmwsss.datasets.published_lists import published_list_size
from mmwsss.engine.schedulers import WarmupPolyLR, warmup_poly
from mmwsss.models import DenseCRF
from mmwsss.registry import MODELS

from .helpers import REPO, read_scalars, run_tool, write_voc_folder

NAMES = sorted(path.stem for path in (REPO / 'configs/deeplab').glob('deeplab*.py'))
V1, V2, TRANSCAM = 'deeplabv1_wr38_voc', 'deeplabv2_r101_voc', 'deeplabv1_wr38_voc_transcam'
SAMPLE = 'deeplabv1_wr38-micro_sample'


def load(name: str) -> Config:
    return Config.fromfile(REPO / f'configs/deeplab/{name}.py', format_python_code=False)


def tiny(cfg: Config) -> torch.nn.Module:
    """Build the config's model, as narrow as it gets, with weights under which everything matters."""
    torch.manual_seed(0)
    cfg.model.backbone.init_cfg = None
    if cfg.model.type == 'DeepLabV2':
        cfg.model.backbone.update(depth=18, base_channels=2, stem_channels=2, init_cfg=dict(type='Kaiming'))
        cfg.model.decode_head.update(in_channels=16)
    else:
        cfg.model.backbone.update(base_channels=2)
        cfg.model.decode_head.update(in_channels=128, channels=8)
    model = MODELS.build(cfg.model)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return model


def samples(count: int, size: tuple[int, int], num_classes: int) -> list[SegDataSample]:
    generator = torch.Generator().manual_seed(0)
    return [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(num_classes, (1, *size), generator=generator)),
                          metainfo=dict(img_shape=size, ori_shape=size, pad_shape=size)) for _ in range(count)]


@pytest.mark.parametrize(('name', 'parameters'), [
    (V1, 124_042_581), ('deeplabv1_wr38_voc_momentum', 124_042_581), (V2, None), ('deeplabv2_r101_coco', None)])
def test_full_size(name, parameters):
    cfg = load(name)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert parameters in (None, sum(param.numel() for param in model.parameters()))
    assert model.num_classes == cfg.num_classes + 1
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert len(norms) > 30
    model.train()
    assert not any(norm.training or norm.weight.requires_grad for norm in norms)


@pytest.mark.parametrize('name', NAMES)
def test_any_size_gives_finite_losses_and_predictions(name):
    cfg = load(name)
    model = tiny(cfg)
    model.train()
    images = torch.randn(2, 3, 65, 72, generator=torch.Generator().manual_seed(1))
    losses = model.loss(images, samples(2, (65, 72), cfg.num_classes + 1))
    total, _ = model.parse_losses(losses)
    assert total.isfinite()
    assert sum('loss' in name for name in losses) == (4 if cfg.model.type == 'DeepLabV2' else 1)
    model.eval()
    with torch.no_grad():
        logits = model(images, mode='tensor')
        predictions = model.predict(images)
    # Caffe's pooling gives one cell more for some sizes.
    assert logits.shape == (2, cfg.num_classes + 1, 9, 10 if cfg.model.type == 'DeepLabV2' else 9)
    assert [sample.pred_sem_seg.shape for sample in predictions] == [(65, 72)] * 2


FROZEN = {V1: lambda key: 'bn' in key or key == 'backbone.conv1a.weight',
          TRANSCAM: lambda key: 'bn' in key,
          V2: lambda key: 'backbone' in key and ('bn' in key or 'downsample.1' in key)}


@pytest.mark.parametrize('name', list(FROZEN))
def test_one_step_changes_what_is_trained(name):
    cfg = load(name)
    model = tiny(cfg)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {key: value.clone() for key, value in model.named_parameters()}
    buffers = {key: value.clone() for key, value in model.named_buffers()}
    model.train()
    size = tuple(cfg.model.data_preprocessor.size)
    data = dict(inputs=[torch.randint(256, (3, *size), dtype=torch.uint8) for _ in range(2)],
                data_samples=samples(2, size, 21))
    for _ in range(cfg.optim_wrapper.get('accumulative_counts', 1)):
        log = model.train_step(copy.deepcopy(data), optimizer)
    assert log['loss'].isfinite()
    changed = {key for key, value in model.named_parameters() if not torch.equal(value, before[key])}
    assert changed == {key for key in before if not FROZEN[name](key)}
    statistics = {key for key, value in model.named_buffers() if not torch.equal(value, buffers[key])}
    assert bool(statistics) == (name == TRANSCAM)


@pytest.mark.parametrize(('name', 'momentum', 'decay', 'rates'), [
    (V1, 1e-5, 0., (7e-4, 7e-3, 7e-3)),
    ('deeplabv1_wr38_coco', 1e-5, 0., (7e-4, 7e-3, 7e-3)),
    ('deeplabv1_wr38_voc_momentum', .9, 5e-4, (7e-4, 7e-3, 7e-3)),
    (TRANSCAM, .9, 5e-4, (1e-3, 1e-2, 2e-2)),
    (V2, .9, 5e-4, (2.5e-4, 2.5e-3, 5e-3)),
    ('deeplabv2_r101_coco', .9, 5e-4, (2.5e-4, 2.5e-3, 5e-3))])
def test_groups_of_the_optimizer(name, momentum, decay, rates):
    cfg = load(name)
    model = tiny(cfg)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    found = {id(group['params'][0]): (group['lr'], group['weight_decay'], group['momentum']) for group in groups}
    backbone, weight, bias = rates
    plain_biases = bias == weight
    for key, param in model.named_parameters():
        if not param.requires_grad:
            assert id(param) not in found
            continue
        is_bias = key.endswith('bias')
        rate = backbone if key.startswith('backbone') else bias if is_bias else weight
        expected = (rate, 0. if is_bias and not plain_biases else decay, momentum)
        assert found[id(param)] == pytest.approx(expected), key


def rate(cfg: Config, step: int) -> float:
    schedule, = cfg.param_scheduler
    assert not schedule.by_epoch
    total = schedule.get('total', cfg.train_cfg.max_iters)
    return warmup_poly(step, total, schedule.warmup, schedule.get('warmup_ratio', 1e-6), schedule.power)


@pytest.mark.parametrize('name', [V1, 'deeplabv1_wr38_voc_momentum'])
def test_published_rates(name):
    cfg = load(name)
    found = [cfg.optim_wrapper.optimizer.lr * rate(cfg, step) for step in (0, 39675, 79349)]
    assert found == pytest.approx([7e-4, 3.751207e-4, 2.7e-8], rel=1e-2)
    assert found[:2] == pytest.approx([7e-4, 3.751207e-4], rel=1e-6)
    assert cfg.train_dataloader.batch_size * cfg.train_cfg.max_iters == 30 * (10582 - 10582 % 4)


def test_rates_of_the_others():
    cfg = load(TRANSCAM)
    backbone = 0.1 * cfg.optim_wrapper.optimizer.lr
    found = [backbone * rate(cfg, step) for step in (0, 1, 10000, 19999)]
    assert found == pytest.approx([1e-3, 9.99955e-4, 5.359108e-4, 2.511773e-7], rel=1e-6)
    assert load(TRANSCAM).train_dataloader.batch_size == 10


@pytest.mark.parametrize(('name', 'updates'), [(V2, 20000), ('deeplabv2_r101_coco', 100000)])
def test_updates_of_v2(name, updates):
    """An update adds the gradients of two batches of 5 images; every tenth update has another rate."""
    cfg = load(name)
    counts = cfg.optim_wrapper.accumulative_counts
    assert (cfg.train_dataloader.batch_size, counts, cfg.train_cfg.max_iters) == (5, 2, 2 * updates)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.)
    settings = {key: value for key, value in cfg.param_scheduler[0].items() if key != 'type'}
    schedule = WarmupPolyLR(optimizer, **settings, end=cfg.train_cfg.max_iters)
    rates = []
    for iteration in range(100):
        if (iteration + 1) % counts == 0:
            rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([(1 - update // 10 * 10 / updates)**.9 for update in range(50)], rel=1e-12)


@pytest.mark.parametrize(('name', 'preset'), [
    (V1, 'mctformer_seg'), ('deeplabv1_wr38_coco', 'mctformer_seg'), (TRANSCAM, 'transcam_seg'), (V2, 'deeplab_v2'),
    ('deeplabv2_r101_coco', 'deeplab_v2')])
def test_fusion_and_field_of_the_test(name, preset, tmp_path):
    cfg = load(name)
    crf = cfg.tta_model.steps[-1]
    colors = dict(transcam_seg=['RoundTripColors'], deeplab_v2=['MeanSubtractedColors']).get(preset, [])
    assert [step.type for step in cfg.tta_model.steps[:-1]] == colors
    assert MODELS.build(crf).identity() == DenseCRF.from_preset(preset).identity()
    size = (33, 40)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / 'a.png')
    model = MODELS.build({**cfg.tta_model, 'module': tiny(cfg)})
    model.eval()
    sample, = samples(1, size, 21)
    sample.set_metainfo(dict(img_path=str(tmp_path / 'a.png')))
    image = torch.tensor(np.asarray(Image.open(tmp_path / 'a.png'))[..., ::-1].copy()).permute(2, 0, 1)
    found, = model.test_step(dict(inputs=[image], data_samples=[sample]))
    scores = found.seg_logits.data
    assert scores.shape == (cfg.num_classes + 1, *size)
    sums = scores.sum(dim=0)
    assert (bool((scores >= 0).all()) and bool((sums > 1).all())) == (preset == 'mctformer_seg')
    assert found.pred_sem_seg.shape == size


def view(name: str, size: tuple[int, int], seed: int = 0) -> dict:
    """Run the pipeline behind the loading of files, and the model's preprocessor, on a picture of known pixels."""
    cfg = load(name)
    rng = np.random.default_rng(0)
    label = rng.integers(1, 21, size, dtype=np.uint8)
    image = rng.integers(1, 256, (*size, 3), dtype=np.uint8)
    if cfg.train_dataloader.dataset.pipeline[0].get('to_float32'):
        image = image.astype(np.float32)
    np.random.seed(seed)
    packed = Compose(cfg.train_dataloader.dataset.pipeline[2:])(dict(
        img=image, img_shape=size, ori_shape=size, gt_seg_map=label, seg_fields=['gt_seg_map'],
        img_path='a.jpg', seg_map_path='a.png', image_id='a', reduce_zero_label=False))
    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    out = preprocessor(dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']]), True)
    label = out['data_samples'][0].gt_sem_seg.data[0]
    inside = (label > 0) & (label < 21)
    rows, cols = (inside.any(dim=dim).nonzero().flatten() for dim in (1, 0))
    box = [int(edge) for edge in (rows[0], rows[-1] + 1, cols[0], cols[-1] + 1)]
    return dict(image=out['inputs'][0], label=label, inside=inside, box=box)


@pytest.mark.parametrize(('name', 'side', 'fill', 'least', 'most'), [
    (V1, 321, 0, .7, 1.3), (TRANSCAM, 448, 255, .5, 1.5), (V2, 321, 255, .5, 1.5)])
def test_where_small_pictures_lie(name, side, fill, least, most):
    sizes, tops, lefts = set(), set(), set()
    for seed in range(12):
        out = view(name, (100, 140), seed)
        y0, y1, x0, x1 = out['box']
        sizes.add((y1 - y0, x1 - x0))
        assert least - .01 <= (y1 - y0) / 100 <= most
        assert out['image'].shape == (3, side, side)
        assert out['label'].shape == (side, side)
        assert out['inside'][y0:y1, x0:x1].all()
        outside = ~out['inside']
        assert (out['label'][outside] == fill).all()
        assert (out['image'][:, outside] == 0).all(), 'the mean color'
        tops.add(y0)
        lefts.add(x0 if x1 < side or x0 == 0 else 'right')
    assert len(sizes) > 2
    if name == TRANSCAM:
        assert len(tops) > 6
        assert len(lefts) > 6
    else:
        # DeepLab-V2 pads, crops, and mirrors what was padded; MCTformer's DeepLab-V1 mirrors first.
        assert tops == {0}
        assert lefts == ({0, 'right'} if name == V2 else {0})
    if name == V2:
        assert sizes <= {(50, 70), (75, 105), (100, 140), (125, 175), (150, 210)}


@pytest.mark.parametrize('name', [V1, TRANSCAM, V2])
def test_large_pictures_are_cut(name):
    crops = [view(name, (1000, 1100), seed) for seed in range(2)]
    side = load(name).model.data_preprocessor.size[0]
    assert all(crop['box'] == [0, side, 0, side] for crop in crops)
    assert not torch.equal(crops[0]['label'], crops[1]['label'])


@pytest.mark.parametrize(('name', 'expected'), [(V1, False), (TRANSCAM, True), (V2, False)])
def test_values_of_scaled_pictures(name, expected):
    """MCTformer's code and DeepLab-V2's scale floating point images, TransCAM's images of 8 bits."""
    cfg = load(name)
    std = torch.tensor(cfg.model.data_preprocessor.std)[:, None]
    mean = torch.tensor(cfg.model.data_preprocessor.mean)[:, None]
    views = [view(name, (100, 140), seed) for seed in range(4)]
    pixels = torch.cat([out['image'][:, out['inside']] * std + mean for out in views], dim=1)
    assert torch.allclose(pixels, pixels.round(), atol=1e-3) == expected


def test_coco_differs_in_data_start_and_length():
    for name in ('deeplabv1_wr38_coco', 'deeplabv2_r101_coco'):
        cfg = load(name)
        assert cfg.train_dataloader.dataset.type == 'PseudoLabelDataset'
        assert {cfg[f'{split}_dataloader'].dataset.dataset.type for split in ('train', 'val', 'test')} == {
            'COCO2014Dataset'}
        assert cfg.model.decode_head.num_classes == 81
    assert load('deeplabv1_wr38_coco').model.backbone.init_cfg.checkpoint.endswith('.params')
    assert load(V1).model.backbone.init_cfg.checkpoint.endswith('res38_cls.pth')


@pytest.mark.parametrize('name', NAMES)
def test_other_data_take_their_place(name, tmp_path):
    cfg = load(name)
    override_data(cfg, write_voc_folder(tmp_path / 'data'), classes=['disc', 'bar'])
    assert cfg.model.decode_head.num_classes == 3


def test_trains_and_tests_with_views(tmp_path):
    data = write_voc_folder(tmp_path / 'data', num_train=4, num_val=2, size=(60, 72))
    config = REPO / f'configs/deeplab/{SAMPLE}.py'
    small = ['--cfg-options', 'model.backbone.init_cfg=None', 'model.backbone.base_channels=2',
             'model.decode_head.in_channels=128', 'model.decode_head.channels=8',
             'model.data_preprocessor.size=(32,32)', 'train_dataloader.batch_size=2',
             f'train_dataloader.dataset.pseudo_label_dir={data}/SegmentationClass', 'train_dataloader.num_workers=0',
             'val_dataloader.num_workers=0', 'test_dataloader.num_workers=0',
             'train_dataloader.dataset.pipeline.4.crop_size=(32,32)', 'train_cfg.max_iters=2',
             'train_cfg.val_interval=2', 'param_scheduler.0.warmup=0', 'default_hooks.logger.interval=1',
             'default_hooks.checkpoint.interval=2']
    where = ['--work-dir', tmp_path / 'run', '--data-root', data, '--classes', 'classes.txt']
    run_tool('tools/train.py', config, *where, *small)
    lines = read_scalars(tmp_path / 'run')
    assert [line['step'] for line in lines if 'decode.loss_balanced_ce' in line] == [1, 2]
    assert all(np.isfinite(line['loss']) for line in lines if 'loss' in line)
    run_tool('tools/test.py', config, tmp_path / 'run/iter_2.pth', '--tta', '--out', tmp_path / 'masks',
             *where, *small)
    assert sorted(path.name for path in (tmp_path / 'masks').glob('*.png')) == ['img_004.png', 'img_005.png']


def test_length_on_coco_counts_the_images_of_its_list():
    cfg = load('deeplabv1_wr38_coco')
    images = published_list_size(cfg.train_dataloader.dataset.dataset)
    assert images == 82081
    assert cfg.train_cfg.max_iters == 15 * (images // cfg.train_dataloader.batch_size) == 307800
    assert cfg.train_cfg.val_interval * 10 == cfg.train_cfg.max_iters
    voc = load(V1)
    assert voc.train_cfg.max_iters == 30 * (published_list_size(voc.train_dataloader.dataset.dataset) // 4) == 79350
