"""DuPL: an iteration of the authors' code, its thresholds, its two students, and what it refuses."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmseg.structures import SegDataSample

from mmwsss.checkpoints import OFFICIAL_LAYOUTS, find_weights, map_keys
from mmwsss.engine.schedulers import warmup_poly
from mmwsss.models.segmentors.dupl import falling_threshold
from mmwsss.registry import MODELS
from tests.helpers import REPO
from tests.official_checkpoints import wave_image
from tests.published_maps import DEPTH, HEADS, MLP, WIDTH, official_weights

FIXTURE = Path(__file__).parents[2] / 'fixtures' / 'published_training' / 'dupl.npz'
ITERATIONS = (100, 5000, 12000)
LAYOUT = OFFICIAL_LAYOUTS['dupl']
TERMS = ('cls', 'ptc', 'dis', 'seg', 'reg')


def load_config():
    return Config.fromfile(REPO / 'configs/dupl/dupl_deit-b_voc.py', format_python_code=False)


def build(**train_cfg):
    """Build the published model, but narrow and shallow, with the weights of the fixture."""
    cfg = load_config().model
    arch = dict(embed_dims=WIDTH, num_layers=DEPTH, num_heads=HEADS, feedforward_channels=MLP)
    cfg.backbone.update(arch=arch, init_cfg=None)
    cfg.cam_head.in_channels = cfg.decode_head.in_channels = WIDTH
    cfg.train_cfg.update(train_cfg)
    model = MODELS.build(cfg)
    model.load_state_dict(map_keys(find_weights(official_weights('dupl'), LAYOUT), LAYOUT).state_dict)
    return model


def batch():
    image = wave_image((128, 128)).float()
    images = torch.cat([image, image.flip(2) * 1.1])
    samples = []
    for classes, box in (([0, 17], (0, 128, 0, 128)), ([9, 13], (4, 120, 0, 100))):
        sample = SegDataSample(metainfo=dict(valid_box=box, ori_shape=(40, 50), img_shape=(128, 128)))
        sample.gt_label = torch.zeros(20).index_fill(0, torch.tensor(classes), 1.)
        samples.append(sample)
    return dict(main=images, perturbed=images * .7 + .1), samples


def losses_at(model, iteration, views=None):
    MessageHub.get_current_instance().update_info('iter', iteration)
    inputs, samples = batch()
    return model.loss(inputs if views is None else views, samples)


def total(losses):
    return sum(value for name, value in losses.items() if name.startswith('loss'))


def official_names(names):
    """Return the names of the fixture by ours."""
    marked = {name: torch.full((1, 1, 1, 1), float(i)) for i, name in enumerate(names)}
    return {ours: names[int(value)] for ours, value in map_keys(marked, LAYOUT).state_dict.items()}


@pytest.mark.parametrize('row', range(3))
def test_an_iteration_equals_the_published_one(row):
    with np.load(FIXTURE) as file:
        assert tuple(file['iterations']) == ITERATIONS
        names = list(file['names'])
        gradients, steps = (dict(zip(names, file[key][row])) for key in ('gradients', 'steps'))
        *terms, loss = file['terms'][row]
    model, cfg = build(), load_config()
    losses = losses_at(model, ITERATIONS[row])
    found = {name: losses.get(f'raw_{name}', losses.get(f'loss_{name}')) for name in (*TERMS, 'aux')}
    found['cls'] = found['cls'] + found.pop('aux')
    on = [name for name in TERMS if name not in {100: ('seg', 'reg'), 5000: ('reg', ), 12000: ()}[ITERATIONS[row]]]
    assert {name for name, value in found.items() if value is not None} == set(on)
    for name, expected in zip(TERMS, terms):
        assert name not in on or found[name].item() == pytest.approx(expected, rel=1e-5), name
    assert total(losses).item() == pytest.approx(loss, rel=1e-5)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    schedule = {key: value for key, value in cfg.param_scheduler[0].items() if key not in ('type', 'by_epoch')}
    for group in optimizer.param_groups:
        group['lr'] *= warmup_poly(ITERATIONS[row], **schedule)
    before = {name: param.detach().clone() for name, param in model.named_parameters()}
    ours = official_names(names)
    assert len(ours) == len(before)
    total(losses).backward()
    optimizer.step()
    for name, param in model.named_parameters():
        expected = gradients[ours[name]]
        assert (param.grad is None) == (expected < 0), name
        assert param.grad is None or param.grad.norm().item() == pytest.approx(expected, rel=1e-3, abs=1e-7), name
        moved = (param.detach().double() - before[name].double()).abs().sum().item()
        # Biases of keys have no effect: what moves them is the rounding of their gradients.
        assert name.endswith('qkv.bias') or moved == pytest.approx(steps[ours[name]], rel=2e-3, abs=1e-9), name


def test_the_threshold_falls_along_half_a_cosine():
    values = [falling_threshold(i, .7, .55, 2000, 20000) for i in (0, 2000, 10999, 11000, 19999, 30000)]
    assert values[0] == values[1] == .7
    assert (values[2] + values[3]) / 2 == pytest.approx(.625)
    assert values[-2] == values[-1] == .55


def test_an_image_takes_the_largest_threshold_of_its_classes():
    model = build(high_kept=(0, 18))
    labels = torch.zeros(4, 20)
    labels[0, [1, 18]] = labels[1, [1, 2]] = labels[2, 0] = 1
    assert model._high_thresholds(labels, 19999).tolist() == pytest.approx([.7, .55, .7, .7])
    assert model._high_thresholds(labels, 2000).tolist() == pytest.approx([.7] * 4)


def test_each_student_learns_from_the_other():
    """The decoder of one student gets its gradient from labels that its own class maps do not change."""
    def gradient(change):
        model = build()
        change(model)
        losses_at(model, 5000)['loss_seg'].backward()
        return model.decode_head.conv_seg.weight.grad

    plain = gradient(lambda model: None)
    assert torch.equal(gradient(lambda model: model.cam_head.classifier.weight.data.neg_()), plain)
    assert not torch.equal(gradient(lambda model: model.second.cam_head.classifier.weight.data.neg_()), plain)


def test_students_are_exchangeable():
    model = build()
    swapped = copy.deepcopy(model)
    state = model.state_dict()
    swapped.load_state_dict({
        **{f'second.{name}': value for name, value in state.items() if not name.startswith('second.')},
        **{name.removeprefix('second.'): value for name, value in state.items() if name.startswith('second.')}})
    torch.testing.assert_close(losses_at(swapped, 12000), losses_at(model, 12000))
    model.eval(), swapped.eval()
    model.test_cfg.student = 'second'
    views, samples = batch()
    with torch.no_grad():
        torch.testing.assert_close(model.predict_cams(views['main']), swapped.predict_cams(views['main']))
        metas = [sample.metainfo for sample in samples]
        windows = [each.encode_decode(views['main'], metas) for each in (model, swapped)]
        assert torch.equal(*windows)
        assert torch.equal(*(each(views['main'], mode='tensor') for each in (model, swapped)))
        found, expected = (each.predict(views['main'], copy.deepcopy(samples)) for each in (model, swapped))
        for one, other in zip(found, expected):
            assert torch.equal(one.seg_logits.data, other.seg_logits.data)
            assert one.seg_logits.data.shape == (21, 40, 50)
        model.test_cfg.student = 'first'
        assert not torch.equal(model.predict(views['main'], samples)[0].seg_logits.data, found[0].seg_logits.data)


def test_the_perturbed_view_is_needed_when_it_counts():
    model, views = build(), batch()[0]
    assert 'loss_reg' not in losses_at(model, 5000, views['main'])
    with pytest.raises(ValueError, match=r"a view 'perturbed': add AddViews\(perturbed=\[...\]\)"):
        losses_at(model, 12000, views['main'])
    model.train_cfg = None
    with pytest.raises(ValueError, match='without train_cfg, for inference only'):
        losses_at(model, 0)


def test_classes_that_do_not_exist():
    with pytest.raises(ValueError, match=r'names the classes \[20, 31\], but there are only 20.*high_kept=\[\]'):
        build(high_kept=(3, 20, 31))
