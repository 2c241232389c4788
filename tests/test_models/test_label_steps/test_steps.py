"""Label steps one by one, and in the lists that ToCo and AReAM train with."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mmwsss.models import (
    AlphaBackground,
    Argmax,
    ConstantBackground,
    DenseCRF,
    ImageBackground,
    LabelBatch,
    LabelPipeline,
    LabelStep,
    MergeLevels,
    PixelAdaptiveRefinement,
)
from mmwsss.models.label_steps import (
    AffinityRefinement,
    CutPadding,
    Downscale,
    HardLabels,
    KeepPresent,
    Softmax,
    ThresholdLabels,
    label_probabilities,
)
from mmwsss.models.utils import cams_to_labels, mask_outside_boxes, refine_with_affinity
from mmwsss.registry import MODELS

NUM = 5


def example(batch: int = 3, size: tuple = (21, 30), classes: int = NUM, seed: int = 0) -> tuple:
    """Images, maps of all classes, and labels of two, one and no class."""
    torch.manual_seed(seed)
    images, cams = torch.rand(batch, 3, *size), torch.rand(batch, classes, 5, 7)
    cams = F.interpolate(cams, size, mode='bicubic').clamp(0, 1)
    labels = torch.zeros(batch, classes)
    labels[0, [1, 4]] = 1
    labels[1:2, 3] = 1
    return images, cams, labels


# The arithmetic that training used before it was a list of steps; the lists must equal it to the last bit.


def reference_two_pass(refiner, images, cams, image_labels, high, low, boxes=None, downscale=2):
    size = cams.shape[-2:]
    small = tuple(max(side // downscale, 1) for side in size)
    present = image_labels > 0
    order = torch.argsort(present.to(torch.uint8), dim=1, descending=True, stable=True)
    classes = order[:, :max(int(present.sum(1).max()), 1)]
    present = present.gather(1, classes)
    chosen = cams.gather(1, classes[:, :, None, None].expand(-1, -1, *size))
    maps = resize(chosen, small).masked_fill(~present[:, :, None, None], float('-inf'))
    stacks = [torch.cat([torch.ones_like(maps[:, :1]) * level, maps], dim=1).softmax(dim=1) for level in (high, low)]
    planes = torch.stack(stacks, dim=1)
    refined = refiner(resize(images, small), planes.flatten(1, 2)).view_as(planes)
    labels, absent, results = F.pad(classes + 1, (1, 0)), F.pad(~present, (1, 0))[:, :, None, None], []
    for level in refined.unbind(1):
        winner = resize(level, size).masked_fill(absent, -1).argmax(dim=1)
        results.append(labels.gather(1, winner.flatten(1)).view_as(winner))
    at_high, at_low = results
    found = at_high.masked_fill(at_high == 0, 255).masked_fill((at_high == 0) & (at_low == 0), 0)
    return found if boxes is None else mask_outside_boxes(found, boxes)


def reference_maps(refiner, images, cams, downscale=2):
    small = tuple(max(side // downscale, 1) for side in cams.shape[-2:])
    planes = resize(cams, small)
    refined = refiner(resize(images, small), torch.cat([planes, torch.ones_like(planes[:, :1])], dim=1))
    return resize(refined[:, :-1] / refined[:, -1:], cams.shape[-2:])


def resize(maps, size):
    return F.interpolate(maps, size, mode='bilinear', align_corners=False)


@pytest.mark.parametrize('downscale', [1, 2, 3])
@pytest.mark.parametrize('boxed', [False, True])
def test_the_list_of_toco_equals_its_arithmetic(downscale: int, boxed: bool):
    images, cams, labels = example()
    boxes = torch.tensor([[0, 21, 0, 30], [2, 20, 3, 17], [0, 9, 0, 30]]) if boxed else None
    pipeline = MODELS.build(dict(
        type='LabelPipeline',
        steps=[dict(type='Downscale', factor=downscale), dict(type='ConstantBackground', low=.4, high=.55),
               dict(type='Softmax'), dict(type='PixelAdaptiveRefinement', dilations=(1, 2), num_iters=4)],
        labeler=dict(type='MergeLevels')))
    found = pipeline(LabelBatch.from_cams(images, cams, labels, boxes))
    expected = reference_two_pass(PixelAdaptiveRefinement((1, 2), 4), images, cams, labels, .55, .4, boxes, downscale)
    assert torch.equal(found, expected)
    assert {0, 2, 4, 5, 255} == set(found.unique().tolist())
    # In training only the classes that occur in the batch have maps.
    occurring = torch.tensor([1, 3, 4])
    batch = LabelBatch.from_cams(images, cams[:, occurring], labels[:, occurring], boxes, class_ids=occurring)
    assert torch.equal(pipeline(batch), expected)


@pytest.mark.parametrize('downscale', [1, 2])
def test_the_direct_list_of_aream_equals_its_arithmetic(downscale: int):
    images, cams, labels = example()
    boxes = torch.tensor([[0, 21, 0, 30], [2, 20, 3, 17], [0, 9, 0, 30]])
    refiner = PixelAdaptiveRefinement((1, 2), 3)
    expected = cams_to_labels(reference_maps(refiner, images, cams, downscale), labels, .3, .6, boxes)
    pipeline = LabelPipeline([Downscale(downscale), PixelAdaptiveRefinement((1, 2), 3, keep_scale=True)],
                             ThresholdLabels(.3, .6))
    assert torch.equal(pipeline(LabelBatch.from_cams(images, cams, labels, boxes)), expected)
    assert {0, 2, 4, 255} <= set(expected.unique().tolist())


@pytest.mark.parametrize('downscale', [1, 2])
def test_maps_are_refined_at_test_time_by_steps(downscale: int):
    """All classes, no background: the maps of ``predict`` after refinement."""
    images, cams, _ = example()
    refiner = PixelAdaptiveRefinement((1, 2), 3)
    pipeline = LabelPipeline([Downscale(downscale), PixelAdaptiveRefinement((1, 2), 3, keep_scale=True)])
    batch = pipeline.run(LabelBatch.from_maps(images, cams, torch.arange(NUM), NUM))
    maps = resize(batch.scores[:, 0, 1:], cams.shape[-2:])
    assert torch.equal(maps, reference_maps(refiner, images, cams, downscale))
    assert not batch.scores[:, 0, 0].any()


def test_hard_and_certain_labels():
    images, cams, labels = example()
    batch = LabelBatch.from_cams(images, cams, labels)
    hard = LabelPipeline([ConstantBackground(.5)], Argmax())(batch)
    assert torch.equal(hard, cams_to_labels(cams, labels, .5))
    certain = LabelPipeline([ConstantBackground(low=.4, high=.6)], MergeLevels())(batch)
    assert torch.equal(certain, cams_to_labels(cams, labels, .4, .6))
    assert torch.equal(LabelPipeline([], ThresholdLabels(.4, .6))(batch), certain)
    assert torch.equal(LabelPipeline([ConstantBackground(.5)], MergeLevels())(batch), hard)
    assert not hard[2].any(), 'an image without classes is background'


def test_equal_scores_are_background_or_the_lower_class():
    maps = torch.tensor([[[[.5, .6, .7, .1]], [[.2, .6, .8, .1]]]])
    batch = LabelBatch.from_maps(torch.zeros(1, 3, 1, 4), maps, torch.tensor([2, 7]), 8)
    assert LabelPipeline([ConstantBackground(.5)], Argmax())(batch).tolist() == [[[0, 3, 8, 0]]]


def test_backgrounds_of_each_image():
    """They equal the same levels in a batch of one image; offline there are none, and the pipeline says so."""
    images, cams, labels = example()
    levels = torch.tensor([[.4, .55], [.3, .8], [.4, .4]])
    pipeline = LabelPipeline([Downscale(2), ImageBackground(), Softmax()], MergeLevels(), given=('thresholds', ))
    batch = LabelBatch.from_cams(images, cams, labels, thresholds=levels)
    found = pipeline(batch)
    for i, (low, high) in enumerate(levels.tolist()):
        alone = LabelPipeline([Downscale(2), ConstantBackground(low=low, high=high), Softmax()], MergeLevels())
        one = slice(i, i + 1)
        assert torch.equal(found[one], alone(LabelBatch.from_cams(images[one], cams[one], labels[one])))
    assert (found == 255).any()
    assert torch.equal(pickle.loads(pickle.dumps(batch)).thresholds, levels)
    with pytest.raises(ValueError, match='ImageBackground, needs thresholds, .* scores of each image'):
        LabelPipeline([ImageBackground()], MergeLevels())


def test_merged_levels():
    at = torch.tensor([[[0, 1, 1, 2, 0]], [[0, 1, 0, 1, 3]]])
    scores = F.one_hot(at, 4).permute(0, 3, 1, 2)[None].float()
    batch = LabelBatch(torch.zeros(1, 3, 1, 5), scores, torch.arange(3)[None], torch.ones(1, 3, dtype=torch.bool), 3,
                       has_background=True)
    assert MergeLevels()(batch).tolist() == [[[0, 1, 255, 1, 3]]]
    with pytest.raises(ValueError, match='Argmax needs scores with one background level, there are 2: .*MergeLevels'):
        Argmax()(batch)
    for step in (ConstantBackground(.5), AlphaBackground(2)):
        with pytest.raises(ValueError, match=f'{type(step).__name__} needs scores with one background level'):
            step(batch)


def test_a_power_of_the_rest_as_background():
    images, cams, labels = example()
    batch = AlphaBackground(3)(LabelBatch.from_cams(images, cams, labels))
    best = (cams * labels[:, :, None, None]).amax(1)
    torch.testing.assert_close(batch.scores[:, 0, 0], (1 - best)**3)
    assert (batch.scores[2, 0, 0] == 1).all()
    empty = LabelBatch.from_maps(images[:1], cams[:1, :0], torch.zeros(0), NUM)
    assert AlphaBackground(3)(empty).scores.eq(1).all()


def test_softmax_leaves_out_absent_classes():
    images, cams, labels = example()
    batch = Softmax()(ConstantBackground(low=.2, high=.4)(LabelBatch.from_cams(images, cams, labels)))
    torch.testing.assert_close(batch.scores.sum(2), torch.ones(3, 2, 21, 30))
    assert not batch.scores[1, :, 2].any()
    expected = torch.cat([torch.full((1, 21, 30), .4), cams[0, [1, 4]]]).softmax(0)
    torch.testing.assert_close(batch.scores[0, 1], expected)


@pytest.mark.parametrize('over', ['present', 'all'])
def test_hard_labels_are_probabilities(over: str):
    images, cams, labels = example()
    batch = HardLabels(.8, over)(ConstantBackground(low=.3, high=.6)(LabelBatch.from_cams(images, cams, labels)))
    for index, classes in enumerate(([1, 4], [3], [])):
        values = np.arange(NUM + 1) if over == 'all' else np.array([0, *(c + 1 for c in classes)])
        for level, threshold in enumerate((.3, .6)):
            plain = cams_to_labels(cams[index:index + 1], labels[index:index + 1], threshold)[0].numpy()
            found = batch.scores[index, level, :len(values)].numpy()
            if len(values) > 1:
                expected = label_probabilities(np.searchsorted(values, plain), len(values), .8)
                np.testing.assert_array_equal(found, expected)
            assert not batch.scores[index, level, len(values):].any()
    assert batch.classes.shape[1] == (NUM if over == 'all' else 2)


def test_classes_that_win_nowhere_are_left_out():
    images, cams, _ = example(batch=2)
    cams[0, [0, 3]] = 0
    cams[1, 1:] = 0
    batch = ConstantBackground(.1)(LabelBatch.from_maps(images, cams, torch.arange(NUM), NUM))
    found = KeepPresent()(batch)
    assert found.classes[0].tolist() == [1, 2, 4]
    assert found.present.tolist() == [[True] * 3, [True, False, False]]
    assert torch.equal(Argmax()(found), Argmax()(batch))


def test_scores_follow_an_affinity():
    images, cams, labels = example()
    affinity = torch.rand(3, 10 * 15, 10 * 15)
    small = Downscale(2)(LabelBatch.from_cams(images, cams, labels, affinity=affinity))
    found = AffinityRefinement()(small)
    torch.testing.assert_close(found.scores[:, 0], refine_with_affinity(small.scores[:, 0], affinity))


def test_crf_of_a_batch_equals_that_of_single_images():
    pytest.importorskip('pydensecrf', reason='needs the optional dense CRF')
    images, cams, labels = example()
    images = (images * 255).to(torch.uint8)
    crf, steps = DenseCRF(num_iters=3), [ConstantBackground(low=.3, high=.6), DenseCRF(num_iters=3)]
    batch = LabelPipeline(steps).run(LabelBatch.from_cams(images, cams, labels))
    pixels = images.permute(0, 2, 3, 1).numpy()
    for level, threshold in enumerate((.3, .6)):
        background = torch.full((1, 21, 30), threshold)
        expected = crf(pixels[0], torch.cat([background, cams[0, [1, 4]]]))
        assert torch.equal(batch.scores[0, level], expected)
        assert torch.equal(batch.scores[1, level, :2], crf(pixels[1], torch.cat([background, cams[1, [3]]])))
        assert not batch.scores[1, level, 2].any()
    as_float = LabelBatch.from_cams(images / 255, cams, labels)
    assert torch.equal(LabelPipeline(steps).run(as_float).scores, batch.scores)
    with pytest.raises(ValueError, match=r'floating point in \[0, 1\]; normalized images'):
        LabelPipeline(steps).run(LabelBatch.from_cams(images / 255 - .5, cams, labels))


def test_kernels_of_an_image_are_prepared_once(monkeypatch: pytest.MonkeyPatch):
    densecrf = pytest.importorskip('pydensecrf.densecrf', reason='needs the optional dense CRF')
    made, make = [], densecrf.DenseCRF2D
    monkeypatch.setattr(densecrf, 'DenseCRF2D', lambda *size: made.append(size) or make(*size))
    images, cams, labels = example(batch=1)
    batch = LabelBatch.from_cams(images, cams, labels)
    for steps in ([ConstantBackground(low=.3, high=.6)], [AlphaBackground(1)], [AlphaBackground(12)]):
        LabelPipeline([*steps, DenseCRF(preset='psa_cam', num_iters=1)]).run(batch)
    assert made == [(30, 21, 3)]
    LabelPipeline([AlphaBackground(1), DenseCRF(preset='toco_label', num_iters=1)]).run(batch)
    assert len(made) == 2


@pytest.mark.parametrize('background_wins', [False, True])
def test_crf_among_planes_that_win(background_wins: bool):
    pytest.importorskip('pydensecrf', reason='needs the optional dense CRF')
    images, cams, _ = example(batch=1)
    probs = torch.cat([torch.full((1, 1, 21, 30), .9 * background_wins), cams], dim=1)[0]
    probs[3] = 0
    batch = LabelBatch(images, probs[None, None], torch.arange(NUM)[None], torch.ones(1, NUM, dtype=torch.bool), NUM,
                       has_background=True)
    winners = torch.zeros(NUM + 1, dtype=torch.bool)
    winners[probs.argmax(0).unique()] = True
    assert winners[0] == background_wins
    pixels = (images[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    expected = DenseCRF(num_iters=2).refine_present(pixels, probs, winners)
    assert torch.equal(DenseCRF(num_iters=2, winners_only=True).transform(batch).scores[0, 0], expected)


def test_steps_leave_the_given_batch_as_it_is():
    images, cams, labels = example()
    batch = LabelBatch.from_cams(images, cams, labels)
    before = batch.scores.clone()
    LabelPipeline([Downscale(2), ConstantBackground(low=.3, high=.6), Softmax(), PixelAdaptiveRefinement((1, )),
                   KeepPresent(), HardLabels()], MergeLevels())(batch)
    assert torch.equal(batch.scores, before)
    assert not batch.has_background


def test_identities_tell_settings_apart():
    steps = [ConstantBackground(.5), ConstantBackground(low=.4, high=.5), AlphaBackground(2), DenseCRF(), Softmax(),
             DenseCRF(preset='psa_cam'), HardLabels(), HardLabels(over='all'), PixelAdaptiveRefinement(),
             PixelAdaptiveRefinement(num_iters=2), Downscale(2), Downscale(3), KeepPresent()]
    found = [str(step.identity()) for step in steps]
    assert len(set(found)) == len(steps)
    assert DenseCRF(preset='psa_cam').identity() == DenseCRF(preset='mctformer_cam').identity(), 'numbers count'
    assert PixelAdaptiveRefinement().identity()['dilations'] == [1, 2, 4, 8, 12, 24]


class Blur(LabelStep):
    """A user's step: average over neighbors."""

    def __init__(self, size: int = 3) -> None:
        self.size = size

    def transform(self, batch: LabelBatch) -> LabelBatch:
        scores = F.avg_pool2d(batch.scores.flatten(1, 2), self.size, 1, self.size // 2).view_as(batch.scores)
        return LabelBatch(**{**vars(batch), 'scores': scores})


def test_a_step_of_ones_own():
    images, cams, labels = example()
    batch = LabelBatch.from_cams(images, cams, labels)
    pipeline = LabelPipeline([Blur(5), ConstantBackground(.5)], Argmax())
    expected = cams_to_labels(F.avg_pool2d(cams, 5, 1, 2), labels, .5)
    assert torch.equal(pipeline(batch), expected)
    assert Blur(5).identity() == {'type': 'Blur', 'size': 5}
    assert pipeline.num_model_steps == 0
    assert LabelPipeline([Blur(), Downscale(2), ConstantBackground(.5)], Argmax()).num_model_steps == 2


def test_batches_travel_between_processes():
    images, cams, labels = example()
    batch = LabelBatch.from_cams(images, cams, labels, torch.zeros(3, 4), image_ids=('a', 'b', 'c'))
    batch.cache['kernels'] = object()
    found = pickle.loads(pickle.dumps(batch))
    assert torch.equal(found.scores, batch.scores)
    assert torch.equal(found.boxes, batch.boxes)
    assert (found.image_ids, found.cache, found.inputs) == (('a', 'b', 'c'), {}, None)


@pytest.mark.parametrize(('make', 'message'), [
    (lambda: ConstantBackground(), 'takes a threshold, or low and high'),
    (lambda: ConstantBackground(.5, high=.7), 'takes a threshold, or low and high'),
    (lambda: ConstantBackground(low=.5), 'takes a threshold, or low and high'),
    (lambda: ConstantBackground(1.5), 'threshold=1.5'),
    (lambda: ConstantBackground(low=.6, high=.5), 'low=0.6 and high=0.5'),
    (lambda: AlphaBackground(0), 'alpha must be positive'),
    (lambda: Downscale(0), 'factor must be 1 or more'),
    (lambda: HardLabels(0), 'confidence'),
    (lambda: HardLabels(over='some'), "'some'"),
    (lambda: ThresholdLabels(.5, .4), 'must not be below'),
    (lambda: DenseCRF(preset='toko_seg'), "did you mean 'toco_seg'"),
    (lambda: LabelBatch.from_cams(torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 4, 4), torch.ones(1, 3)), 'do not fit'),
    (lambda: LabelPipeline([ConstantBackground(.5)]).label(None), 'there is no labeler: give one'),
])
def test_wrong_settings_are_refused(make: object, message: str):
    with pytest.raises(ValueError, match=message):
        make()


def test_padding_is_cut_off_after_the_steps_that_see_it():
    """Images and scores get the size of the boxes; images without them are refused."""
    scores = torch.rand(2, 1, 3, 8, 16)
    batch = LabelBatch(torch.zeros(2, 3, 8, 16, dtype=torch.uint8), scores, torch.tensor([[0, 1]] * 2),
                       torch.ones(2, 2, dtype=torch.bool), 2, has_background=True)
    padded = replace(batch, boxes=torch.tensor([[0, 5, 0, 11]] * 2))
    cut = CutPadding().transform(padded)
    assert cut.images.shape == (2, 3, 5, 11)
    assert torch.equal(cut.scores, scores[..., :5, :11])
    assert cut.boxes is None
    for boxes in (None, torch.tensor([[0, 5, 0, 11], [0, 8, 0, 16]])):
        with pytest.raises(ValueError, match='padded alike, by a RandomWalk with keep_padding'):
            CutPadding().transform(replace(batch, boxes=boxes))
