import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from mmwsss.datasets.map_files import read_cams, read_label_map, read_scores
from mmwsss.models import DenseCRF, LabelBatch
from mmwsss.models.label_steps import CRF_PRESETS, label_probabilities
from mmwsss.pseudo_labels import PseudoLabelError, expand_short_forms
from mmwsss.pseudo_labels.label_cfg import build_outputs
from mmwsss.pseudo_labels.writer import LabelWriter, TaskRunner, WriteTask

SIZE = (24, 30)
VALUES = np.array([0, 1, 5])


@pytest.fixture
def pixels() -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 60, (*SIZE, 3)).astype(np.uint8)
    pixels[:, 15:] += 150
    return pixels


@pytest.fixture
def cams() -> np.ndarray:
    cams = np.random.default_rng(1).random((2, *SIZE), np.float32) * .5
    cams[1, :, 15:] += .4
    return cams


def make_job(folder: Path, outputs: dict, pixels: np.ndarray, cams: np.ndarray, name: str = 'a',
             channels: tuple = (0, 4)) -> WriteTask:
    """The job of an image of which the classes 1 and 5 of six are present."""
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    batch = LabelBatch.from_maps(image, torch.from_numpy(cams)[None], torch.tensor(channels), 6, image_ids=(name, ))
    paths = {key: folder / key / f'{name}.{output.format}' for key, output in outputs.items()}
    return WriteTask(name, dict.fromkeys(outputs, batch), {**paths, 'labels': folder / f'{name}.png'})


def write(folder: Path, pixels: np.ndarray, cams: np.ndarray, workers: int = 0, channels: tuple = (0, 4),
          **short_forms: object) -> np.ndarray:
    """Write the files of one image by short forms; give its label map."""
    outputs = build_outputs(expand_short_forms(**{'threshold': .5, **short_forms}))
    job = make_job(folder, outputs, pixels, cams, channels=channels)
    with LabelWriter(outputs, [(0, 0, 0)], workers) as writer:
        counts = [*writer.write(job), *writer.flush()]
    labels = read_label_map(job.paths['labels'])
    np.testing.assert_array_equal(counts, [np.bincount(labels.ravel(), minlength=256)])
    return labels


def merged(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """What two thresholds make of the labels of each."""
    return np.where(high > 0, high, np.where(low > 0, 255, 0))


def scores_at(cams: np.ndarray, threshold: float) -> np.ndarray:
    return np.concatenate([np.full_like(cams[:1], threshold), cams])


def test_a_threshold_and_two_thresholds(tmp_path: Path, pixels: np.ndarray, cams: np.ndarray):
    best = cams.max(0)
    value = np.where(cams[0] >= cams[1], 1, 5)
    np.testing.assert_array_equal(write(tmp_path, pixels, cams), np.where(best > np.float32(.5), value, 0))
    np.testing.assert_array_equal(
        write(tmp_path, pixels, cams, threshold=.3, high=.6),
        np.where(best > np.float32(.6), value, np.where(best > np.float32(.3), 255, 0)))


@pytest.mark.parametrize('high', [None, .7])
def test_crf_of_present_classes_and_background(tmp_path: Path, pixels: np.ndarray, cams: np.ndarray, high: object):
    crf = DenseCRF.from_preset('toco_label')
    at = {t: VALUES[crf(pixels, scores_at(cams, t)).argmax(0)] for t in (.4, .7)}
    expected = at[.4] if high is None else merged(at[.4], at[.7])
    found = write(tmp_path, pixels, cams, threshold=.4, high=high, post='crf', crf='toco_label')
    np.testing.assert_array_equal(found, expected)
    assert (found != write(tmp_path, pixels, cams, threshold=.4, high=high)).any()


def test_crf_at_reduced_size(tmp_path: Path, pixels: np.ndarray, cams: np.ndarray):
    crf = DenseCRF(**CRF_PRESETS['mctformer_cam'], stride=2)
    expected = VALUES[crf(pixels, scores_at(cams, .4)).argmax(0)]
    np.testing.assert_array_equal(write(tmp_path, pixels, cams, threshold=.4, post='crf', crf_stride=2), expected)


@pytest.mark.parametrize(('preset', 'high'), [(None, None), ('weaktr_label_coco', .6), ('transcam_label', .6)])
def test_crf_of_hard_labels(tmp_path: Path, pixels: np.ndarray, cams: np.ndarray, preset: object, high: object):
    """WeakTr counts background and the present classes as labels, TransCAM all classes."""
    crf, expected = DenseCRF.from_preset(preset or 'weaktr_label_voc'), {}
    values = np.arange(7) if preset == 'transcam_label' else VALUES
    for threshold in (.4, .6):
        plain = VALUES[scores_at(cams, threshold).argmax(0)]
        probs = label_probabilities(np.searchsorted(values, plain), len(values))
        expected[threshold] = values[crf(pixels, probs).argmax(0)]
    found = write(tmp_path, pixels, cams, threshold=.4, high=high, post='label-crf', crf=preset)
    np.testing.assert_array_equal(found, expected[.4] if high is None else merged(expected[.4], expected[.6]))
    assert (found != write(tmp_path, pixels, cams, threshold=.4, high=high)).any()


def test_maps_with_a_power_of_the_rest_as_background(tmp_path: Path):
    """Worked example: two colors, one class; a weak background leaves all pixels to it."""
    pixels = np.full((6, 8, 3), (40, 80, 120), np.uint8)
    pixels[:, 4:] = 200, 60, 30
    rows, cols = np.mgrid[:6, :8]
    cam = (.9 - .1 * cols - .02 * rows).round(4).clip(0, 1).astype(np.float32)
    write(tmp_path, pixels, cam[None], channels=(2, ), crf_alphas=(1, 12))
    for name, foreground in (('crf_1', cols < 4), ('crf_12', cols < 8)):
        planes, values = read_scores(tmp_path / name / 'a.npz')
        assert values.tolist() == [0, 3]
        np.testing.assert_array_equal(planes.argmax(0), foreground)
        np.testing.assert_allclose(planes.sum(0), 1, atol=2e-3)
    q = DenseCRF(preset='psa_cam', num_iters=1)(pixels, np.stack([1 - cam, cam]))
    np.testing.assert_allclose(q[1, 0], [.99912, .99755, .99497, .99037, .01693, .00860, .00478, .00242], atol=1e-3)


@pytest.mark.parametrize('suffix', ['npz', 'npy'])
def test_an_image_without_classes_is_background_in_all_files(tmp_path: Path, pixels: np.ndarray, suffix: str):
    labels = write(tmp_path, pixels, np.zeros((0, *SIZE), np.float32), channels=(), save_cams=True, crf_alphas=(4, ),
                   cam_stride=2, cam_format=suffix, post='label-crf', crf='transcam_label')
    assert not labels.any()
    assert len(read_cams(tmp_path / f'cams/a.{suffix}')[0]) == 0
    planes, values = read_scores(tmp_path / f'crf_4/a.{suffix}')
    assert values.tolist() == [0]
    np.testing.assert_array_equal(planes, np.ones((1, 12, 15)))


def test_labels_that_are_finished_are_taken(tmp_path: Path, pixels: np.ndarray, cams: np.ndarray):
    outputs = build_outputs(expand_short_forms(threshold=.5))
    labels = np.random.default_rng(0).integers(0, 3, SIZE).astype(np.uint8)
    job = make_job(tmp_path, outputs, pixels, cams)
    with LabelWriter(outputs, [(0, 0, 0)]) as writer:
        list(writer.write(WriteTask('a', {}, job.paths, labels={'labels': labels})))
    np.testing.assert_array_equal(read_label_map(tmp_path / 'a.png'), labels)


def test_class_maps_are_stored_where_asked_for(tmp_path: Path, pixels: np.ndarray, cams: np.ndarray):
    write(tmp_path, pixels, cams, save_cams=True)
    stored, channels = read_cams(tmp_path / 'cams/a.npz')
    np.testing.assert_allclose(stored, cams, atol=1e-3)
    assert channels.tolist() == [0, 4]
    write(tmp_path, pixels, cams, save_cams=True, cam_stride=4)
    stored, _ = read_cams(tmp_path / 'cams/a.npz')
    assert stored.shape == (2, 6, 8)
    assert stored.mean() == pytest.approx(cams.mean(), rel=.02)


def test_labels_may_be_further_outputs(tmp_path: Path, pixels: np.ndarray, cams: np.ndarray):
    steps = [dict(type='ConstantBackground', threshold=.7)]
    outputs = build_outputs(dict(
        steps=[dict(type='ConstantBackground', threshold=.5)], outputs=dict(
            certain=dict(steps=steps, labeler=dict(type='Argmax')), scores=dict(steps=steps))))
    job = make_job(tmp_path, outputs, pixels, cams)
    with LabelWriter(outputs, [(0, 0, 0)]) as writer:
        list(writer.write(job))
    np.testing.assert_array_equal(read_label_map(tmp_path / 'certain/a.png'), VALUES[scores_at(cams, .7).argmax(0)])
    np.testing.assert_allclose(read_scores(tmp_path / 'scores/a.npz')[0], scores_at(cams, .7), atol=1e-3)
    both = build_outputs(dict(steps=steps, outputs=dict(
        maps=dict(steps=[dict(type='ConstantBackground', low=.2, high=.7)]))))
    with pytest.raises(ValueError, match="output 'maps' has 2 background levels, its file takes one"), \
            LabelWriter(both, [(0, 0, 0)]) as writer:
        list(writer.write(make_job(tmp_path, both, pixels, cams)))


def test_workers_write_the_same_files(tmp_path: Path, pixels: np.ndarray, cams: np.ndarray):
    outputs = build_outputs(expand_short_forms(threshold=.4, post='crf', save_cams=True, crf_alphas=(1, )))
    contents = []
    for workers in (0, 2):
        jobs = [make_job(tmp_path / str(workers), outputs, pixels, cams, name) for name in 'abcdefgh']
        with LabelWriter(outputs, [(0, 0, 0)], workers) as writer:
            counts = [c for job in jobs for c in writer.write(job)] + list(writer.flush())
        assert len(counts) == 8
        contents.append([[path.read_bytes() for path in job.paths.values()] for job in jobs])
    assert contents[0] == contents[1]


def test_the_caller_helps_workers_that_are_behind(tmp_path: Path, pixels: np.ndarray, cams: np.ndarray,
                                                  monkeypatch: pytest.MonkeyPatch):
    """It would have to wait otherwise; results stay in order and equal."""
    outputs = build_outputs(expand_short_forms(threshold=.4, post='crf'))
    finish, helped = TaskRunner.__call__, []
    monkeypatch.setattr(TaskRunner, '__call__', lambda self, task: helped.append(task.image_id) or finish(self, task))
    found, files = [], []
    for workers in (1, 0):
        jobs = [make_job(tmp_path / str(workers), outputs, pixels, cams * (1 - .1 * k), name=str(k)) for k in range(8)]
        helped.clear()
        with LabelWriter(outputs, [(0, 0, 0)], workers) as writer:
            found.append(list(writer.run(jobs)))  # sooner than the worker has started
        assert (0 < len(helped) < 7) if workers else len(helped) == 8
        assert not workers or not {'0', '1'}.intersection(helped)
        assert (writer.worker_seconds > 0) == (workers > 0)
        files.append([job.paths['labels'].read_bytes() for job in jobs])
    np.testing.assert_array_equal(*found)
    assert files[0] == files[1]


@pytest.mark.parametrize('workers', [0, 1])
def test_a_failure_names_the_image_and_leaves_nothing(tmp_path: Path, pixels: np.ndarray, cams: np.ndarray,
                                                      workers: int):
    (tmp_path / 'file').write_text('in the way of a folder')
    with pytest.raises(PseudoLabelError, match='label of image a could not be written to .*file/a.png.*resumes'):
        write(tmp_path / 'file', pixels, cams, workers)
    with pytest.raises(ValueError, match='image a: the CAMs are NaN or infinite'):
        write(tmp_path, pixels, np.where(cams > .4, np.nan, cams).astype(np.float32), workers, post='crf')
    assert {path.name for path in tmp_path.iterdir()} == {'file'}


def write_with_a_killed_worker(folder: Path, pixels: np.ndarray, cams: np.ndarray) -> None:
    outputs = build_outputs(expand_short_forms(threshold=.5))
    job = make_job(folder, outputs, pixels, cams)
    with LabelWriter(outputs, [(0, 0, 0)], workers=1) as writer:
        os.kill(writer._pool.submit(os.getpid).result(), signal.SIGKILL)
        for _ in range(50):
            list(writer.write(job))
        list(writer.flush())


def test_a_worker_that_is_killed_is_told_of(tmp_path: Path, pixels: np.ndarray, cams: np.ndarray):
    with pytest.raises(PseudoLabelError, match='ended from outside.*from here'):
        write_with_a_killed_worker(tmp_path, pixels, cams)
