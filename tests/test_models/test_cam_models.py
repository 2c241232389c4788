"""What every model with CAMs does: one list of tests, all methods."""

import re
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from mmwsss.models import BaseAuxiliary, CAMClassifier, Observation, Request, SingleStage
from mmwsss.models.utils import resize_maps
from mmwsss.registry import MODELS

from ..helpers import run_head
from .cam_models import (
    METHODS,
    build,
    copy_of,
    images_of,
    is_observable,
    reactivation,
    samples_of,
    stem_of,
    training_inputs,
)

LABELS = torch.tensor([[1., 0, 1], [0, 1, 0]])
OBSERVABLE = [name for name in METHODS if is_observable(name)]


@pytest.fixture(params=METHODS)
def name(request):
    return request.param


def classification(losses):
    """Return the loss of the classes, or of the first branch where each has its own."""
    return losses[next(name for name in ('loss_cls', 'loss_conv') if name in losses)]


def total(losses):
    return sum(value for key, value in losses.items() if key.startswith('loss'))


def train_step(model, labels, images=None):
    """Compute losses, check that they are finite and reach every trained parameter, and return them."""
    model.train()
    images = images_of(48, 48, len(labels)) if images is None else images
    losses = model.loss(training_inputs(model, images), samples_of(labels, (48, 48)))
    assert all(value.isfinite().all() for value in losses.values())
    total(losses).backward()
    for key, param in model.named_parameters():
        assert (param.grad is not None) == param.requires_grad, key
        assert param.grad is None or param.grad.isfinite().all(), key
    return losses


def images_seen(model, call):
    """Return the sizes (B, H, W) of the batches that the backbone runs during a call, and its result."""
    seen = []
    hook = stem_of(model).register_forward_hook(lambda module, args, out: seen.append(
        (len(args[0]), *args[0].shape[2:])))
    result = call()
    hook.remove()
    return seen, result


# The two verbs


def test_scores_and_maps_of_one_view(name):
    method, model = METHODS[name], build(name)
    found = model.extract_cams(images_of())
    segmentation = {'seg_logits'} if isinstance(model, SingleStage) else set()
    assert set(found) == {*method.scores, *method.maps} | segmentation
    assert set(method.maps) <= set(model.cam_head.map_names)
    grid = found['cams'].shape[2:]
    for key in method.scores:
        assert found[key].shape == (2, 3)
    for key in method.maps:
        assert found[key].shape == (2, 3, *grid)
        assert found[key].std() > 0
    assert all(value.isfinite().all() and not value.requires_grad for value in found.values())


def test_labels_switch_maps_off_and_nothing_else(name):
    model = build(name)
    plain, masked = model.extract_cams(images_of()), model.extract_cams(images_of(), LABELS)
    for key, value in plain.items():
        expected = value * LABELS[:, :, None, None] if key in METHODS[name].maps else value
        assert torch.equal(masked[key], expected), key


def test_fused_maps_are_in_the_unit_interval(name):
    model, images = build(name), images_of()
    found = model.predict_cams(images, LABELS)
    assert set(found) == {*model.map_names, 'logits'}
    everything = model.predict_cams(images)
    for key in model.map_names:
        assert found[key].shape == (2, 3, 32, 48)
        assert found[key].min() >= 0
        assert found[key].max() <= 1
        assert_close(found[key], everything[key] * LABELS[:, :, None, None])
        assert everything[key].amax(dim=(2, 3)).min() > .99 or 'patch' in key, 'each map reaches 1'
    assert_close(found['logits'], model.extract_cams(images)['logits'])


def test_some_classes_are_a_slice_of_all(name):
    model, images, classes = build(name), images_of(), torch.tensor([2, 0])
    names = list(model.cam_head.map_names)
    with torch.no_grad():
        everything = run_head(model.cam_head, model.backbone, images, names)
        some = run_head(model.cam_head, model.backbone, images, names, classes)
    assert some.keys() == everything.keys()
    for key in names:
        assert_close(some[key], everything[key][:, classes])
    everything, some = model.predict_cams(images), model.predict_cams(images, LABELS, classes=classes)
    for key in model.map_names:
        assert_close(some[key], everything[key][:, classes] * LABELS[:, classes, None, None])
    assert_close(some['logits'], everything['logits'])


def test_each_map_is_the_same_alone(name):
    """What else is asked for does not matter."""
    model, images = build(name), images_of()
    names = list(model.cam_head.map_names)
    with torch.no_grad():
        together = run_head(model.cam_head, model.backbone, images, names)
        for key in names:
            assert_close(run_head(model.cam_head, model.backbone, images, [key])[key], together[key])


def test_own_view_is_not_computed_again(name):
    model, images = build(name), images_of()
    seen, expected = images_seen(model, lambda: model.predict_cams(images))
    assert seen[0] == (4, 32, 48), 'the images and their mirror images'
    own_view = model.extract_cams(images)
    seen_again, found = images_seen(model, lambda: model.predict_cams(images, own_view=own_view))
    assert seen_again == [(2, 32, 48), *seen[1:]]
    for key, value in expected.items():
        assert_close(found[key], value)
    some = model.predict_cams(images, classes=torch.tensor([1]), own_view=own_view, scored_view=None)
    assert set(some) == set(model.map_names)
    assert_close(some['cams'], expected['cams'][:, [1]])


def test_the_view_that_gives_scores(name):
    model, images = build(name), images_of()
    large, small = (model.extract_cams(resize_maps(images, size))['logits'] for size in ((48, 72), (16, 24)))
    assert not torch.allclose(large, small)
    scales = (0.5, 1.5)
    for view, expected in ((0, small), (1, large), (-1, large), ('closest', large)):
        seen, found = images_seen(
            model, lambda view=view: model.predict_cams(images, scales=scales, scored_view=view))
        assert_close(found['logits'], expected)
        assert seen == [(4, 16, 24), (4, 48, 72)], 'no pass of its own'
    assert 'logits' not in model.predict_cams(images, scales=scales, scored_view=None)
    for view in (2, -3, 'largest'):
        with pytest.raises(ValueError, match=f"scored_view must be 'closest', None or an index below 2, got {view!r}"):
            model.predict_cams(images, scales=scales, scored_view=view)


def test_mirror_images_have_mirrored_maps(name):
    model, images = build(name), images_of()
    found, mirrored = model.predict_cams(images), model.predict_cams(images.flip(-1))
    for key in model.map_names:
        assert_close(mirrored[key], found[key].flip(-1), atol=2e-4, rtol=1e-4)
        assert not torch.allclose(found[key], found[key].flip(-1), atol=1e-2)


def test_sizes_may_change_from_image_to_image(name):
    model = build(name)
    sizes = (32, 32), (48, 40), (24, 64), (32, 32)
    found = [model.predict_cams(images_of(*size, count=1))['cams'] for size in sizes]
    for size, cams in zip(sizes, found):
        assert cams.shape == (1, 3, *size)
        assert cams.isfinite().all()
    assert torch.equal(found[0], found[3])


def test_images_do_not_depend_on_their_batch(name):
    model, images = build(name), images_of()
    whole = model.predict_cams(images)
    for i in range(2):
        alone = model.predict_cams(images[i:i + 1])
        for key, value in alone.items():
            assert_close(value, whole[key][i:i + 1], atol=2e-4, rtol=1e-4)


# Models of mmengine


def test_prediction_attaches_maps_at_original_sizes(name):
    model, images = build(name), images_of()
    with torch.no_grad():
        samples = model.predict(images, samples_of(LABELS, (20, 30)))
    fused = model.predict_cams(images)
    for i, sample in enumerate(samples):
        for key in model.map_names:
            maps = sample.get(key).data
            assert maps.shape == (3, 20, 30)
            assert maps.min() >= 0
            assert maps.max() <= 1
            assert_close(maps, resize_maps(fused[key][i:i + 1], (20, 30))[0])
        assert_close(sample.cls_logits, fused['logits'][i])


def test_losses_reach_every_trained_parameter(name):
    losses = train_step(build(name), LABELS)
    trained = {'transcam': 1, 'transcam-aream': 1, 'transcam-branches': 2}.get(name, len(METHODS[name].scores))
    assert classification(losses) > 0
    terms = ('cls', 'aux', 'patch', 'coarse', 'fine', 'conv', 'trans')
    assert sum(key.removeprefix('loss_') in terms for key in losses) == trained
    assert ('loss_affinity' in losses) == name.endswith('-aream')


def test_a_step_of_training_changes_the_loss(name):
    model = build(name)
    losses = train_step(model, LABELS)
    trained = [param for param in model.parameters() if param.requires_grad]
    torch.optim.SGD(trained, lr=1e-3).step()
    model.zero_grad()
    again = train_step(model, LABELS)
    assert classification(again) != classification(losses)


def test_images_without_a_class(name):
    model = build(name)
    train_step(model, torch.zeros(2, 3))
    train_step(build(name), torch.tensor([[0., 0, 0], [0, 1, 0]]))
    model.eval()
    found = model.predict_cams(images_of(), torch.zeros(2, 3))
    assert all(found[key].eq(0).all() for key in model.map_names)


@pytest.mark.parametrize('num_classes', [1, 80])
def test_number_of_classes(name, num_classes):
    model = build(name, num_classes)
    assert model.cam_head.num_classes == num_classes
    labels = torch.zeros(2, num_classes)
    labels[0, 0] = labels[1, -1] = 1
    assert model.predict_cams(images_of(), labels)['cams'].shape == (2, num_classes, 32, 48)
    train_step(model, labels)


def test_weights_are_saved_and_loaded(name):
    model, other = build(name), build(name, seed=1)
    expected = model.extract_cams(images_of())
    assert not torch.equal(other.extract_cams(images_of())['cams'], expected['cams'])
    found = copy_of(model, other).extract_cams(images_of())
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


def test_half_precision(name):
    model, images = build(name), images_of()
    exact = model.predict_cams(images)
    with torch.autocast('cpu', torch.bfloat16):
        rounded = model.predict_cams(images)
        losses = model.train().loss(training_inputs(model, images_of(48, 48)), samples_of(LABELS, (48, 48)))
    for key in model.map_names:
        assert rounded[key].isfinite().all()
        pair = torch.stack([rounded[key].float().flatten(), exact[key].flatten()])
        assert torch.corrcoef(pair)[0, 1] > .8, key
    total(losses).backward()
    assert classification(losses).dtype == torch.float32
    for key, param in model.named_parameters():
        assert not param.requires_grad or param.grad.isfinite().all(), key


def test_unknown_maps_are_named_with_those_there_are(name):
    model = build(name)
    words = f'{type(model.cam_head).__name__} has no map \'heat\'; its maps are {", ".join(model.cam_head.map_names)}'
    with pytest.raises(ValueError, match=re.escape(words)):
        model.cam_head.request(['cams', 'heat'])
    if isinstance(model, SingleStage):
        with pytest.raises(ValueError, match="train_cfg.aux_map must name one of the maps of .*, got 'heat'"):
            build(name, train_cfg=dict(aux_map='heat'))
    else:
        with pytest.raises(ValueError, match="has no map 'heat'"):
            build(name, test_cfg=dict(map_names=('heat', )))


def test_old_keys_name_the_new_one(name):
    words = r"no longer takes 'reactivation': write auxiliary=\[dict\(type='AffinityReactivation', ...\)\]"
    with pytest.raises(ValueError, match=words):
        build(name, reactivation=dict(type='AffinityReactivation'))


# Auxiliaries


@dataclass(frozen=True)
class PatchTokens(Observation):
    """Patch tokens after each layer."""

    reads: ClassVar[str] = 'block'

    def init(self, layout):
        return layout.num_class_tokens, []

    def update(self, state, layer, value):
        state[1].append(value.tokens[:, state[0]:])
        return state

    def finish(self, state):
        return state[1]


@MODELS.register_module()
class TokenDiversity(BaseAuxiliary):
    """Keeps the patch tokens of the last layers apart; it takes targets, which are what each image has of classes."""

    def __init__(self, weight=.1):
        super().__init__()
        self.weight = weight
        self.tokens = PatchTokens(layers='deep', grad=True)

    def targets(self, model, batch):
        return batch.image_labels.sum(dim=1).clamp(min=1)

    def request(self, model):
        return Request(observations=(self.tokens, ), maps=False)

    def losses(self, model, features, batch, targets):
        found = [F.normalize(tokens, dim=2) for tokens in features[self.tokens]]
        similarity = sum((tokens @ tokens.mT).mean(dim=(1, 2)) for tokens in found)
        return {'loss_diversity': self.weight * (similarity / targets).mean(), 'similarity': similarity.mean()}


def pairs_of(name):
    """Return pairs of auxiliaries: both kinds, and the mechanism of AReAM twice with other maps and passes."""
    first, second = METHODS[name].reactivated
    return [
        [reactivation(first), dict(type='TokenDiversity')],
        [dict(type='TokenDiversity'), reactivation(second, cam_pass='reuse')],
        [reactivation(first, cam_pass='reuse'), reactivation(second, entropy_mode='uniform', affinity_keys='patches')]]


@pytest.mark.parametrize('which', range(3))
@pytest.mark.parametrize('name', OBSERVABLE)
def test_any_two_auxiliaries(name, which):
    pair = pairs_of(name)[which]
    # Each alone, and both in one pass.
    alone = [train_step(build(name, auxiliary=[part]), LABELS) for part in pair]
    both = build(name, auxiliary=pair)
    sizes, found = images_seen(both, lambda: train_step(both, LABELS))
    plain = train_step(build(name, auxiliary=[]), LABELS)
    expected = {**plain, **alone[0]}
    for key, value in alone[1].items():
        if key not in plain:
            expected[f'{key}_1' if key in expected else key] = value
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert_close(found[key], value, atol=1e-5, rtol=1e-4, msg=key)
    assert found['loss_affinity'].isfinite()
    if not isinstance(both, SingleStage):
        passes = [1 + 2 * sum(part['type'] == 'AffinityReactivation' and part.get('cam_pass') != 'reuse'
                              for part in pair)]
        assert [len(sizes)] == passes, 'one of training; two for each that makes maps of its own'


@pytest.mark.parametrize('name', OBSERVABLE)
def test_auxiliaries_by_name(name):
    first, second = METHODS[name].reactivated
    pair = dict(one=reactivation(first), other=reactivation(second), spread=dict(type='TokenDiversity'))
    model = build(name)
    named = MODELS.build({**METHODS[name].config(3), 'auxiliary': pair})
    named.load_state_dict(model.state_dict())
    losses = train_step(named, LABELS)
    assert {'loss_affinity', 'loss_affinity_other', 'loss_diversity'} <= losses.keys()
    assert list(named.auxiliary) == list(pair)


def test_an_auxiliary_that_is_no_list():
    for name in ('mctformer-v2', 'toco'):
        cfg = {**METHODS[name].config(3), 'auxiliary': reactivation('cams')}
        with pytest.raises(TypeError, match='a list of configs, or a dict of them by name, got the config of Affinity'):
            MODELS.build(cfg)


@pytest.mark.parametrize('name', [name for name in METHODS if not is_observable(name)])
def test_auxiliaries_need_a_backbone_that_can_be_observed(name):
    model = build(name, auxiliary=[dict(type='TokenDiversity')])
    assert isinstance(model, CAMClassifier)
    words = rf'{type(model.backbone).__name__} cannot give PatchTokens: it takes an observable backbone'
    with pytest.raises(TypeError, match=words):
        model.loss(images_of(), samples_of(LABELS))
