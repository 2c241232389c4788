import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmwsss.apis import LabelSettings, PseudoLabelError
from mmwsss.apis.label_writer import LabelWriter
from mmwsss.apis.labelling import LabelJob, alpha_scores, labels_between, labels_from_scores
from mmwsss.datasets.map_files import read_cams, read_label_map, read_scores
from mmwsss.models import DenseCRF
from mmwsss.models.refiners import CRF_PRESETS, label_probabilities

SIZE = (24, 30)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 60, (*SIZE, 3)).astype(np.uint8)
    pixels[:, 15:] += 150
    Image.fromarray(pixels).save(tmp_path / 'image.png')
    return tmp_path / 'image.png'


def make_job(image: Path, name: str = 'a', cams_path: bool = False, labels: object = None) -> LabelJob:
    cams = np.random.default_rng(1).random((2, *SIZE), np.float32) * .5
    cams[1, :, 15:] += .4
    paths = {'cams': image.parent / f'{name}.npz'} if cams_path else {}
    return LabelJob(str(image), cams, [0, 4], image.parent / f'{name}.png', labels, paths, num_classes=6)


def write(job: LabelJob, workers: int = 0, **settings: object) -> np.ndarray:
    with LabelWriter(LabelSettings(**{'threshold': .5, **settings}), [(0, 0, 0)], workers) as writer:
        counts = [*writer.write(job), *writer.flush()]
    labels = read_label_map(job.label_path)
    np.testing.assert_array_equal(counts, [np.bincount(labels.ravel(), minlength=256)])
    return labels


def test_equal_scores_are_background_or_the_lower_class():
    scores = np.array([[[.5, .5, .5, .5]], [[.5, .6, .7, .1]], [[.2, .6, .8, .1]]])
    assert labels_from_scores(scores, [2, 7]).tolist() == [[0, 3, 8, 0]]


def test_between_two_thresholds_is_ignored():
    low, high = np.array([[0, 1, 1, 2, 0]]), np.array([[0, 1, 0, 1, 3]])
    assert labels_between(low, high).tolist() == [[0, 1, 255, 1, 3]]


def test_a_threshold_and_two_thresholds(image: Path):
    job = make_job(image)
    best = job.cams.max(0)
    value = np.where(job.cams[0] >= job.cams[1], 1, 5)
    np.testing.assert_array_equal(write(job), np.where(best > np.float32(.5), value, 0))
    np.testing.assert_array_equal(
        write(job, threshold=.3, high=.6),
        np.where(best > np.float32(.6), value, np.where(best > np.float32(.3), 255, 0)))


@pytest.mark.parametrize('high', [None, .7])
def test_crf_of_present_classes_and_background(image: Path, high: object):
    job = make_job(image)
    crf = DenseCRF.from_preset('toco_label')
    pixels = np.array(Image.open(image))
    at = {t: np.array([0, 1, 5])[crf(pixels, np.concatenate([np.full((1, *SIZE), t), job.cams])).argmax(0)]
          for t in (.4, .7)}
    expected = at[.4] if high is None else np.where(at[.7] > 0, at[.7], np.where(at[.4] > 0, 255, 0))
    found = write(job, threshold=.4, high=high, post='crf', crf='toco_label')
    np.testing.assert_array_equal(found, expected)
    assert (found != write(job, threshold=.4, high=high)).any()


def test_crf_at_reduced_size(image: Path):
    job = make_job(image)
    crf = DenseCRF(**CRF_PRESETS['mctformer_cam'], stride=2)
    scores = np.concatenate([np.full((1, *SIZE), .4), job.cams])
    expected = np.array([0, 1, 5])[crf(np.array(Image.open(image)), scores).argmax(0)]
    np.testing.assert_array_equal(write(job, threshold=.4, post='crf', crf_stride=2), expected)
    assert 'crf_stride' not in LabelSettings(threshold=.4).as_dict(), 'older folders stay valid'
    assert LabelSettings(threshold=.4, crf_stride=2).as_dict()['crf_stride'] == 2


@pytest.mark.parametrize(('preset', 'high'), [(None, None), ('weaktr_label_coco', .6), ('transcam_label', .6)])
def test_crf_of_hard_labels(image: Path, preset: object, high: object):
    """WeakTr counts background and the present classes as labels, TransCAM all classes."""
    job, crf = make_job(image), DenseCRF.from_preset(preset or 'weaktr_label_voc')
    pixels, expected = np.array(Image.open(image)), {}
    for threshold in (.4, .6):
        plain = labels_from_scores(np.concatenate([np.full((1, *SIZE), threshold), job.cams]), [0, 4])
        values = np.arange(7) if preset == 'transcam_label' else np.array([0, 1, 5])
        probs = label_probabilities(np.searchsorted(values, plain), len(values))
        expected[threshold] = values[crf(pixels, probs).argmax(0)]
    found = write(job, threshold=.4, high=high, post='label-crf', crf=preset)
    np.testing.assert_array_equal(found, expected[.4] if high is None else labels_between(expected[.4], expected[.6]))
    assert (found != write(job, threshold=.4, high=high)).any()


def test_maps_with_a_power_of_the_rest_as_background(tmp_path: Path):
    """Worked example: two colours, one class; a weak background leaves all pixels to it."""
    pixels = np.full((6, 8, 3), (40, 80, 120), np.uint8)
    pixels[:, 4:] = 200, 60, 30
    Image.fromarray(pixels).save(tmp_path / 'image.png')
    rows, cols = np.mgrid[:6, :8]
    cam = (.9 - .1 * cols - .02 * rows).round(4).clip(0, 1).astype(np.float32)
    settings = LabelSettings(threshold=.5, crf_alphas=(1, 12))
    paths = {name: tmp_path / name / 'image.npz' for name in settings.map_folders}
    job = LabelJob(str(tmp_path / 'image.png'), cam[None], [2], tmp_path / 'label.png', map_paths=paths)
    with LabelWriter(settings, ()) as writer:
        list(writer.run([job]))
    for name, foreground in (('crf_1', cols < 4), ('crf_12', cols < 8)):
        planes, values = read_scores(paths[name])
        assert values.tolist() == [0, 3]
        np.testing.assert_array_equal(planes.argmax(0), foreground)
        np.testing.assert_allclose(planes.sum(0), 1, atol=2e-3)
    scores = alpha_scores(cam[None], 12)
    np.testing.assert_allclose(scores[0], (1 - cam)**12)
    q = DenseCRF(**{**LabelSettings(.5, post='crf').crf, 'num_iters': 1})(pixels, alpha_scores(cam[None], 1))
    np.testing.assert_allclose(q[1, 0], [.99912, .99755, .99497, .99037, .01693, .00860, .00478, .00242], atol=1e-3)


@pytest.mark.parametrize('suffix', ['npz', 'npy'])
def test_an_image_without_classes_is_background_in_all_files(image: Path, suffix: str):
    settings = LabelSettings(threshold=.5, save_cams=True, crf_alphas=(4, ), cam_stride=2, cam_format=suffix)
    paths = {name: image.parent / f'{name}.{suffix}' for name in settings.map_folders}
    empty = LabelJob(str(image), np.zeros((0, *SIZE), np.float32), [], image.parent / 'b.png', map_paths=paths)
    with LabelWriter(settings, ()) as writer:
        list(writer.run([empty]))
    assert len(read_cams(paths['cams'])[0]) == 0
    planes, values = read_scores(paths['crf_4'])
    assert values.tolist() == [0]
    np.testing.assert_array_equal(planes, np.ones((1, 12, 15)))


def test_known_labels_are_taken_and_images_without_class_are_background(image: Path):
    labels = np.random.default_rng(0).integers(0, 3, SIZE)
    np.testing.assert_array_equal(write(make_job(image, labels=labels)), labels)
    empty = LabelJob(str(image), np.zeros((0, *SIZE), np.float32), [], image.parent / 'b.png')
    assert not write(empty, post='crf').any()


def test_class_maps_are_stored_where_asked_for(image: Path):
    job = make_job(image, cams_path=True)
    write(job, save_cams=True)
    cams, channels = read_cams(job.map_paths['cams'])
    assert channels.tolist() == [0, 4]
    np.testing.assert_allclose(cams, job.cams, atol=1e-3)
    write(job, save_cams=True, cam_stride=4)
    cams, _ = read_cams(job.map_paths['cams'])
    assert cams.shape == (2, 6, 8)
    assert cams.mean() == pytest.approx(job.cams.mean(), rel=.02)


def test_workers_write_the_same_files(image: Path):
    jobs = [make_job(image, name, cams_path=True) for name in 'abcdefgh']
    settings = LabelSettings(threshold=.4, post='crf', save_cams=True)
    contents = []
    for workers in (0, 2):
        with LabelWriter(settings, [(0, 0, 0)], workers) as writer:
            counts = [c for job in jobs for c in writer.write(job)] + list(writer.flush())
        assert len(counts) == 8
        contents.append([(job.label_path.read_bytes(), job.map_paths['cams'].read_bytes()) for job in jobs])
        for job in jobs:
            job.label_path.unlink()
    assert contents[0] == contents[1]


@pytest.mark.parametrize('workers', [0, 1])
def test_a_failure_names_the_image_and_leaves_nothing(image: Path, workers: int):
    (image.parent / 'file').write_text('in the way of a folder')
    job = make_job(image, name='file/a')
    with pytest.raises(PseudoLabelError, match='label of .*image.png could not be written to .*file/a.png.*goes on'):
        write(job, workers)
    job = make_job(image.parent / 'missing.png', name='b')
    with pytest.raises(PseudoLabelError, match='missing.png cannot be read'):
        write(job, workers, post='crf')
    (image.parent / 'damaged.png').write_bytes(image.read_bytes()[:60])
    with pytest.raises(PseudoLabelError, match='damaged.png cannot be read'):
        write(make_job(image.parent / 'damaged.png', name='b'), workers, post='crf')
    (image.parent / 'damaged.png').unlink()
    assert {path.name for path in image.parent.iterdir()} == {'file', 'image.png'}


def write_with_a_killed_worker(job: LabelJob) -> None:
    with LabelWriter(LabelSettings(threshold=.5), [(0, 0, 0)], workers=1) as writer:
        os.kill(writer._pool.submit(os.getpid).result(), signal.SIGKILL)
        for _ in range(50):
            list(writer.write(job))
        list(writer.flush())


def test_a_worker_that_is_killed_is_told_of(image: Path):
    with pytest.raises(PseudoLabelError, match='ended from outside.*goes on'):
        write_with_a_killed_worker(make_job(image))


@pytest.mark.parametrize(('settings', 'message'), [
    ({'threshold': 1.2}, 'threshold=1.2'), ({'threshold': .5, 'high': .4}, 'high=0.4'),
    ({'threshold': .5, 'post': 'nn'}, "'nn'"), ({'threshold': .5, 'cam_stride': 0}, 'cam_stride'),
    ({'threshold': .5, 'crf_stride': 0}, 'crf_stride'),
    ({'threshold': .5, 'post': 'crf', 'crf': 'none'}, 'mctformer_cam.*none'),
    ({'threshold': .5, 'post': 'crf', 'crf': 'transcam_label'}, "use post='label-crf'"),
    ({'threshold': .5, 'cam_stride': 'patch'}, "'patch'"), ({'threshold': .5, 'cam_format': 'txt'}, "'txt'"),
    ({'threshold': .5, 'crf_alphas': (0, 1)}, 'alphas'), ({'threshold': .5, 'crf_alphas': (1, 1)}, 'alphas'),
    ({'threshold': None}, 'with a random walk only, got.*threshold=None'),
    ({'threshold': .5, 'background_alpha': 2}, 'background_alpha=2'),
    ({'threshold': .5, 'post': 'random-walk', 'background_alpha': 2}, 'one background'),
    ({'threshold': None, 'post': 'random-walk', 'background_alpha': 0}, 'must be positive'),
    ({'threshold': .5, 'post': 'random-walk', 'save_cams': True, 'high': .6}, 'leave out high, save_cams'),
    ({'threshold': .5, 'source': 'masks'}, "'masks'"), ({'threshold': .5, 'crf_classes': 'some'}, "'some'"),
])
def test_wrong_settings_are_refused(settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        LabelSettings(**settings)


def test_what_the_config_says_stands_in_for_what_is_not_given():
    test_cfg = {'threshold': .3, 'pseudo_label_crf': 'transcam_label'}
    found = LabelSettings.from_config(test_cfg, threshold=None, post='label-crf', crf_alphas=None)
    assert (found.threshold, found.crf_classes, found.crf['bilateral_sxy']) == (.3, 'all', 50)
    found = LabelSettings.from_config(test_cfg, threshold=.7, post='crf', crf='aream_cam')
    assert (found.threshold, found.crf_classes, found.crf['bilateral_sxy']) == (.7, None, 80)
    assert LabelSettings.from_config(test_cfg).crf is None
    found = LabelSettings.from_config({'threshold': .4}, post='random-walk-crf')
    assert (found.threshold, found.background_alpha, found.crf_classes) == (.4, None, 'all')
    test_cfg = {'threshold': None, 'background_alpha': 16}
    found = LabelSettings.from_config(test_cfg, post='random-walk')
    assert (found.threshold, found.background_alpha, found.crf) == (None, 16, None)
    found = LabelSettings.from_config(test_cfg, post='random-walk', threshold=.2)
    assert (found.threshold, found.background_alpha) == (.2, None)
    with pytest.raises(ValueError, match='no threshold'):
        LabelSettings.from_config(test_cfg)
    with pytest.raises(ValueError, match='no threshold'):
        LabelSettings.from_config(None)
