"""AReAM's worked examples of maps, entropies and weights, against double precision and at the edges."""

import math

import pytest
import torch

from mmwsss.models.utils import (
    entropy_weights,
    layer_entropies,
    normalize_cams,
    reactivated_cams,
    reactivation_weights,
    refine_with_affinity,
)

FIRST = [[.7 if i == j else .08 for j in range(4)] for i in range(4)]
SECOND = [[.4, .2, .2, .1], [.2, .4, .1, .2], [.2, .1, .4, .2], [.1, .2, .2, .4]]
STRIP = [[.1, .1, .1, .6]] * 4
AFFINITIES = torch.tensor([[FIRST, SECOND, STRIP]])
CAMS = torch.tensor([[[[1, .6], [.2, 0]], [[0, .3], [.1, 1]]]])
BOTH, ONE, NONE = (torch.tensor([labels]) for labels in ([1., 1.], [1., 0.], [0., 0.]))


def close(found, expected, atol=1e-6):
    torch.testing.assert_close(found, torch.as_tensor(expected), atol=atol, rtol=0)


def test_entropies_and_weights_of_the_worked_example():
    close(layer_entropies(CAMS, AFFINITIES, BOTH), [[1.368112, 1.383259, 1.386294]])
    weights, counterparts = reactivation_weights(CAMS, AFFINITIES, BOTH)
    close(counterparts, [[0, .833056, 1]], atol=2e-6)
    close(weights, [[1, .166944, 0]], atol=2e-6)
    close(layer_entropies(CAMS, AFFINITIES, ONE), [[1.357302, 1.379741, 1.386294]])
    close(reactivation_weights(CAMS, AFFINITIES, ONE)[1], [[0, .773969, 1]], atol=2e-6)


def test_sum_over_classes_of_the_first_version():
    entropies = layer_entropies(CAMS, AFFINITIES, BOTH, reduce_classes='sum')
    close(entropies / math.log(2), [[1.979601, 1.996910, 2.]])
    close(entropy_weights(layer_entropies(CAMS, AFFINITIES, BOTH, reduce_classes='sum', relative=True))[1],
          [[0, .848498, 1]], atol=2e-6)


def test_reactivated_map_of_the_worked_example():
    maps = reactivated_cams(CAMS, AFFINITIES, reactivation_weights(CAMS, AFFINITIES, BOTH)[0])
    close(maps, [[[[.857489, .592794], [.324761, .187405]], [[.142050, .353092], [.219075, .812133]]]], atol=2e-6)
    close(normalize_cams(maps, 'minmax', 1e-6),
          [[[[.999999, .604982], [.204982, 0]], [[0, .314948], [.114948, .999999]]]], atol=3e-6)
    average = normalize_cams(refine_with_affinity(CAMS, AFFINITIES.mean(dim=1)), 'minmax', 1e-6)
    close(average, [[[[.999997, .621737], [.221738, 0]], [[0, .365216], [.165217, .999997]]]], atol=2e-6)


def test_normalized_map_of_the_worked_example():
    patches = torch.tensor([[[[4., 3], [1, -1]], [[-2, 1], [.5, 2]]]])
    attention = torch.tensor([[[[.10, .08], [.04, .01]], [[.01, .03], [.02, .09]]]])
    close(normalize_cams(patches.relu() * attention, 'minmax', 1e-6),
          [[[[.999998, .599999], [.1, 0]], [[0, .166666], [.055555, .999994]]]])


def random_case(seed=0, images=3, classes=4, layers=5, side=6):
    generator = torch.Generator().manual_seed(seed)
    cams = torch.rand(images, classes, side, side, generator=generator)
    scores = torch.randn(images, layers, side**2, side**2, generator=generator)
    temperatures = torch.linspace(.2, 4, layers)[:, None, None]
    labels = torch.tensor([[1., 0, 1, 0], [0, 1, 0, 0], [1, 1, 1, 1]])[:images, :classes]
    return cams, (scores * temperatures).softmax(-1), labels


def naive_entropies(cams, affinities, labels):
    """One image, layer and position at a time, in double precision."""
    found = torch.zeros(affinities.shape[:2], dtype=torch.float64)
    for b, layer in torch.cartesian_prod(torch.arange(len(cams)), torch.arange(affinities.shape[1])).tolist():
        present = cams[b][labels[b] > 0].double().flatten(1)
        scores = torch.stack([(affinities[b, layer].double() @ plane) for plane in present]).max(dim=0).values
        p = scores.softmax(0)
        found[b, layer] = -(p * p.log()).sum()
    return found


def test_against_a_plain_loop_in_double_precision():
    cams, affinities, labels = random_case()
    expected = naive_entropies(cams, affinities, labels)
    close(layer_entropies(cams, affinities, labels).double(), expected)
    low, high = expected.min(1, keepdim=True).values, expected.max(1, keepdim=True).values
    close(reactivation_weights(cams, affinities, labels)[1].double(), (expected - low) / (high - low), atol=1e-4)


def test_small_maps_keep_their_digits():
    # Entropies of maps this small differ by 1e-7 of ln N, which a subtraction of entropies in float32 cannot see.
    cams, affinities, labels = random_case()
    cams = cams * 1e-2
    expected = naive_entropies(cams, affinities, labels)
    low, high = expected.min(1, keepdim=True).values, expected.max(1, keepdim=True).values
    expected = (expected - low) / (high - low + 1e-8)
    close(reactivation_weights(cams, affinities, labels)[1].double(), expected, atol=1e-4)


def test_strip_gets_all_of_the_loss_and_identity_leaves_the_map():
    affinities = torch.stack([torch.eye(4), torch.tensor(STRIP)])[None]
    weights, counterparts = reactivation_weights(CAMS, affinities, BOTH)
    close(counterparts, [[0., 1.]])
    close(reactivated_cams(CAMS, affinities, weights), CAMS)


def test_weights_and_counterparts_add_up_and_follow_their_layers():
    cams, affinities, labels = random_case()
    weights, counterparts = reactivation_weights(cams, affinities, labels)
    close(weights + counterparts, torch.ones_like(weights))
    order = torch.tensor([3, 0, 4, 2, 1])
    close(reactivation_weights(cams, affinities[:, order], labels)[0], weights[:, order])


def test_amplitude_matters():
    cams, affinities, labels = random_case()
    scale = torch.tensor([1., .1, 1, 1, 1])[:, None, None]
    changed = reactivation_weights(cams, affinities * scale, labels)[1]
    assert (changed[:, 1] - reactivation_weights(cams, affinities, labels)[1][:, 1]).abs().min() > .05


def test_absent_classes_do_not_count():
    cams, affinities, labels = random_case(images=2)
    expected = reactivation_weights(cams, affinities, labels)[0]
    close(reactivation_weights(cams + 5 * (1 - labels)[:, :, None, None], affinities, labels)[0], expected)


@pytest.mark.parametrize(('cams', 'affinities', 'labels'), [
    (CAMS, AFFINITIES, NONE), (CAMS * 0, AFFINITIES, BOTH), (CAMS, AFFINITIES[:, [1, 1, 1]], BOTH)],
    ids=['no class', 'empty map', 'equal layers'])
def test_where_layers_do_not_differ_all_refine_and_none_is_supervised(cams, affinities, labels):
    weights, counterparts = reactivation_weights(cams, affinities, labels)
    assert torch.equal(weights, torch.ones(1, 3))
    assert torch.equal(counterparts, torch.zeros(1, 3))


def test_batch_scope_averages_entropies():
    cams, affinities, labels = random_case()
    weights, counterparts = reactivation_weights(cams, affinities, labels, scope='batch')
    assert torch.equal(weights, weights[:1].expand(3, -1))
    mean = layer_entropies(cams, affinities, labels).mean(dim=0)
    close(counterparts[0], (mean - mean.min()) / (mean.max() - mean.min()), atol=1e-4)


def test_normalized_refined_maps_do_not_depend_on_amplitude():
    cams, affinities, labels = random_case()
    plain = reactivation_weights(cams, affinities, labels, normalize_refined=True)[0]
    close(reactivation_weights(cams, affinities / 2, labels, normalize_refined=True)[0], plain, atol=1e-3)


def test_float32_under_autocast_and_no_gradient():
    cams, affinities, labels = random_case()
    expected = reactivation_weights(cams, affinities, labels)
    affinities.requires_grad_()
    with torch.autocast('cpu', torch.bfloat16):
        found = reactivation_weights(cams, affinities, labels)
        maps = reactivated_cams(cams, affinities, found[0])
    assert maps.dtype == found[0].dtype == torch.float32
    assert not maps.requires_grad
    assert not found[1].requires_grad
    assert all(torch.equal(a, b) for a, b in zip(found, expected))


def test_unknown_choices():
    with pytest.raises(ValueError, match="scope must be .*'epoch'"):
        reactivation_weights(CAMS, AFFINITIES, BOTH, scope='epoch')
    with pytest.raises(ValueError, match="reduce_classes must be .*'mean'"):
        layer_entropies(CAMS, AFFINITIES, BOTH, reduce_classes='mean')
