import copy
import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from bench_toco import plain_losses  # tools/analysis_tools
from mmengine.registry import init_default_scope
from torch.nn import functional as F

from mmwsss.models.segmentors.toco import LossSchedule

from ..toco_example import CLASSES, PATCH, SIZE, at_iteration, batch, build


def test_one_pass_equals_the_plain_arrangement():
    model = build()
    twin = copy.deepcopy(model)
    views, samples = batch()
    at_iteration(10)
    losses = model.loss(views, samples)
    plain = plain_losses(twin, views, samples)
    weights = model.train_cfg['loss_weights']
    assert set(losses) == {f'loss_{t}' for t in weights} | {f'raw_{t}' for t in ('ptc', 'ctc', 'seg', 'reg')}
    for term, value in plain.items():
        torch.testing.assert_close(losses[f'loss_{term}'], weights[term] * value, rtol=1e-5, atol=1e-8)
    assert plain['seg'] > 0
    assert plain['ptc'] > 0
    sum(v for k, v in losses.items() if k.startswith('loss')).backward()
    sum(weights[term] * value for term, value in plain.items()).backward()
    for (name, param), other in zip(model.named_parameters(), twin.parameters()):
        if param.requires_grad:
            assert param.grad is not None, name
            assert param.grad.abs().max() > 0, name
            torch.testing.assert_close(param.grad, other.grad, rtol=1e-4, atol=1e-7, msg=name)
        else:
            assert param.grad is None, name


def test_no_image_is_encoded_twice():
    model = build()
    seen, decoded = [], []
    embed = model.backbone.patch_embed.forward
    model.backbone.patch_embed.forward = lambda x: seen.append(x.detach()) or embed(x)
    model.decode_head.register_forward_hook(lambda module, args, out: decoded.append(len(out)))
    at_iteration(10)
    model.loss(*batch())
    sizes = sorted(tuple(x.shape[::2]) for x in seen)
    # Main with gradient, its mirror image, two other scales with theirs, second view, local views.
    assert sizes == [(2, 64), (2, 64), (2, 64), (4, 32), (4, 96), (8, 16)]
    images = [image for x in seen if x.shape[2] == SIZE for image in x]
    assert all(not torch.equal(a, b) for i, a in enumerate(images) for b in images[:i])
    assert decoded == [2]


def test_off_terms_cost_nothing_and_give_zero_gradients():
    model = build()
    decoded = []
    model.decode_head.register_forward_hook(lambda module, args, out: decoded.append(1))
    at_iteration(9)
    losses = model.loss(*batch())
    assert not decoded
    assert losses['loss_seg'] == 0
    assert 'loss_reg' not in losses
    sum(v for k, v in losses.items() if k.startswith('loss')).backward()
    assert all(p.grad is not None and p.grad.eq(0).all() for p in model.decode_head.parameters())
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.projector.parameters() if p.requires_grad)


def test_plain_classification_needs_no_cams():
    model = build(loss_weights=dict(cls=1., aux=0., ptc=0., ctc=0., seg=0., reg=0.), phases=[dict(begin=0)])
    passes = []
    model.backbone.patch_embed.register_forward_hook(lambda module, args, out: passes.append(1))
    views, samples = batch()
    losses = model.loss(views['main'], samples)
    assert len(passes) == 1
    sum(v for k, v in losses.items() if k.startswith('loss')).backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_teacher_follows_the_student():
    model = build(ema_momentum=0.9)
    for param in model.teacher_projector.parameters():
        param.fill_(1.)
    for param in model.projector.parameters():
        param.data.zero_()
    for expected in (0.9, 0.81, 0.729):
        model._update_teacher()
        for param in model.teacher_projector.parameters():
            torch.testing.assert_close(param, torch.full_like(param, expected))


def test_teacher_moves_once_for_each_update_of_the_optimizer():
    model = build(accumulative_counts=2)
    moves = []
    model._update_teacher = lambda: moves.append(model_iteration)
    for model_iteration in range(5):
        at_iteration(model_iteration)
        model.loss(*batch())
    assert moves == [0, 2, 4]


def parameters_after_one_update(model, views, samples):
    """Return all parameters after one step of AdamW, in one vector."""
    optimizer = torch.optim.AdamW([param for param in model.parameters() if param.requires_grad], lr=1e-2)
    losses = model(views, samples, mode='loss')
    sum(value for key, value in losses.items() if key.startswith('loss')).backward()
    optimizer.step()
    return torch.cat([param.detach().flatten() for param in model.parameters()])


def update_in_a_process(rank, folder):
    torch.set_num_threads(1)
    init_default_scope('mmwsss')
    dist.init_process_group('gloo', f'file://{folder}/init', rank=rank, world_size=2)
    at_iteration(10)
    views, samples = batch(seeds=(3, 4, 5, 6))
    # The positions of the batch that IterationSampler gives to this process.
    own = {key: value[rank::2] for key, value in views.items()}
    model = torch.nn.parallel.DistributedDataParallel(build())
    torch.save(parameters_after_one_update(model, own, samples[rank::2]), folder / f'{rank}.pt')
    dist.barrier()
    os._exit(0)  # threads of gloo can outlive the interpreter and hold it up


def test_one_process_with_four_images_updates_as_two_with_two_each(tmp_path):
    mp.spawn(update_in_a_process, (tmp_path, ), nprocs=2)
    first, second = (torch.load(tmp_path / f'{rank}.pt') for rank in range(2))
    assert torch.equal(first, second)
    at_iteration(10)
    views, samples = batch(seeds=(3, 4, 5, 6))
    grouped = build()
    assert grouped.loss_ptc.group_size == grouped.decode_head.loss_decode.group_size == 2
    torch.testing.assert_close(parameters_after_one_update(grouped, views, samples), first, rtol=0, atol=1e-7)
    pooled = build()
    pooled.loss_ptc.group_size = pooled.decode_head.loss_decode.group_size = None
    assert (parameters_after_one_update(pooled, views, samples) - first).abs().max() > 1e-4


def test_pseudo_label_source_switches():
    views, samples = batch()
    results = []
    for begin in (0, 100):
        model = build(final_cam_begin=begin)
        at_iteration(50)
        results.append(model.loss(views, samples)['raw_seg'])
    assert results[0] != results[1]


def test_box_of_the_token_grid():
    views, samples = batch(box=(40, 64, 0, 64))
    values = []
    for mode in ('reference', 'scaled'):
        model = build(ptc_box=mode)
        at_iteration(0)
        values.append(model.loss(views, samples)['raw_ptc'])
    # In pixels the box starts below the 8 rows of tokens, so that no token is left; scaled, three rows remain.
    assert values[0] == 0.5
    assert values[1] != 0.5
    with pytest.raises(ValueError, match='ptc_box'):
        build(ptc_box='other')


def test_nothing_valid_is_finite():
    model = build()
    views, samples = batch(box=(0, 0, 0, 0))
    for sample in samples:
        sample.gt_label = torch.zeros(CLASSES)
    at_iteration(10)
    losses = model.loss(views, samples)
    assert all(torch.isfinite(value) for value in losses.values())
    sum(v for k, v in losses.items() if k.startswith('loss')).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.requires_grad)


def test_losses_do_not_depend_on_how_a_batch_is_split():
    views, samples = batch()
    at_iteration(0)
    whole = build().loss(views, samples)
    parts = [build().loss({k: v[i:i + 1] for k, v in views.items()}, samples[i:i + 1]) for i in range(2)]
    for term in ('loss_cls', 'loss_aux', 'loss_ctc'):
        torch.testing.assert_close(whole[term], (parts[0][term] + parts[1][term]) / 2)


@pytest.mark.parametrize('size', [(64, 64), (80, 56)])
def test_predict_and_extract(size):
    model = build()
    model.eval()
    _, samples = batch()
    for sample in samples:
        sample.set_metainfo(dict(img_shape=size))
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    raw = model.extract_cams(images)
    grid = (size[0] // PATCH, size[1] // PATCH)
    assert {k: tuple(v.shape) for k, v in raw.items()} == dict(
        logits=(2, CLASSES), aux_logits=(2, CLASSES), cams=(2, CLASSES, *grid), aux_cams=(2, CLASSES, *grid),
        seg_logits=(2, CLASSES + 1, *grid))
    masked = model.extract_cams(images, torch.tensor([[0, 1, 0, 0, 0, 0]] * 2))
    assert masked['cams'][:, 0].eq(0).all()
    assert torch.equal(masked['cams'][:, 1], raw['cams'][:, 1])
    with torch.no_grad():
        expected = model.predict_cams(images)
        done = model.predict(images, samples)
        model.test_cfg = dict(mode='whole')
        plain = model.predict(images, copy.deepcopy(samples))
    for i, sample in enumerate(done):
        assert sample.cams.data.shape == (CLASSES, 50, 70)
        resized = F.interpolate(expected['aux_cams'][i:i + 1], size=(50, 70), mode='bilinear')[0]
        torch.testing.assert_close(sample.aux_cams.data, resized)
        torch.testing.assert_close(sample.cls_logits, raw['logits'][i])
        logits = F.interpolate(raw['seg_logits'][i:i + 1], size=(50, 70), mode='bilinear')[0]
        torch.testing.assert_close(sample.seg_logits.data, logits, msg='logits are enlarged once')
        torch.testing.assert_close(plain[i].seg_logits.data, logits)
        assert sample.cams.data.min() >= 0
        assert sample.cams.data.max() < 1


def test_padding_is_cut_off_the_segmentation():
    model = build()
    model.eval()
    _, samples = batch()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    for sample in samples:
        sample.set_metainfo(dict(img_shape=(50, 60), img_padding_size=(0, 4, 0, 14)))
    logits = F.interpolate(model.extract_cams(images)['seg_logits'], size=(64, 64), mode='bilinear')[..., :50, :60]
    with torch.no_grad():
        found = model.predict(images, samples)[0].seg_logits.data
    torch.testing.assert_close(found, F.interpolate(logits[:1], size=(50, 70), mode='bilinear')[0])


def test_maps_of_some_classes():
    model = build()
    model.eval()
    images, classes = torch.randn(2, 3, 64, 64, dtype=torch.float64), torch.tensor([4, 1])
    everything = model.predict_cams(images)
    labels = torch.tensor([[0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0]])
    masked = model.predict_cams(images, labels, classes=classes)
    assert set(masked) == {'cams', 'aux_cams', 'logits'}
    some = model.predict_cams(images, classes=classes)
    given = model.predict_cams(images, own_view=model.extract_cams(images), classes=classes)
    for name in ('cams', 'aux_cams'):
        torch.testing.assert_close(some[name], everything[name][:, classes])
        torch.testing.assert_close(given[name], everything[name][:, classes])
        assert masked[name].flatten(2).any(2).tolist() == [[False, True], [True, False]]
    torch.testing.assert_close(given['logits'], everything['logits'])


def test_schedule_of_losses():
    schedule = LossSchedule(dict(cls=1., ptc=.2), [dict(begin=0, off=('ptc', )), dict(begin=2001)])
    assert schedule.at(2000) == dict(cls=1., ptc=0.)
    assert schedule.at(2001) == dict(cls=1., ptc=.2)
    with pytest.raises(ValueError, match='begin at 0'):
        LossSchedule(dict(cls=1.), [dict(begin=5)])
    with pytest.raises(ValueError, match='unknown'):
        LossSchedule(dict(cls=1.), [dict(begin=0, off=('pct', ))])
