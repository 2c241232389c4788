"""Wrong and missing tags are found by predictions that were made without them."""

import json

import numpy as np
import pytest

from mmwsss.analysis.tag_check import can_check_tags, find_doubts, held_out_scores
from mmwsss.datasets import ImageLabels
from tests.helpers import call_tool, write_photos

needs_cleanlab = pytest.mark.skipif(not can_check_tags(), reason='cleanlab is not installed')


@pytest.fixture
def photographs():
    """Features of 60 photographs of three classes, some of which show two, and their true tags."""
    rng = np.random.default_rng(0)
    tags = rng.random((60, 3)) < .4
    return tags @ np.eye(3, 8) + .1 * rng.normal(size=(60, 8)), tags


def test_held_out_scores_are_right_where_features_tell(photographs):
    features, tags = photographs
    scores = held_out_scores(features, tags)
    assert scores.shape == (60, 3)
    assert ((scores > .5) == tags).mean() > .9


def test_scores_of_a_photograph_do_not_depend_on_its_own_tags(photographs):
    """With features that tell nothing, a classifier that saw the tags would know them."""
    _, tags = photographs
    noise = np.random.default_rng(1).normal(size=(60, 200))
    scores = held_out_scores(noise, tags)
    assert abs(((scores > .5) == tags).mean() - .6) < .15


@needs_cleanlab
def test_wrong_and_missing_tags_are_doubted(photographs):
    _, tags = photographs
    scores = np.where(tags, .9, .1) + np.random.default_rng(2).uniform(-.05, .05, tags.shape)
    given = tags.copy()
    wrong, missing = np.flatnonzero(~tags[:, 0])[:2], np.flatnonzero(tags[:, 1])[:2]
    scores[wrong, 0], scores[missing, 1] = .02, .98
    given[wrong, 0], given[missing, 1] = True, False
    doubts = find_doubts(scores, given)
    assert np.flatnonzero(doubts.wrong[:, 0]).tolist() == wrong.tolist()
    assert np.flatnonzero(doubts.missing[:, 1]).tolist() == missing.tolist()
    assert doubts.wrong.sum() + doubts.missing.sum() == 4


@needs_cleanlab
def test_classes_that_cannot_be_checked(photographs):
    features, tags = photographs
    given = np.concatenate([tags, np.ones((60, 1), bool), np.eye(60, 1, dtype=bool)], axis=1)
    given[:, 2] = np.arange(60) < 2  # two photographs are enough
    scores = held_out_scores(features, given)
    assert np.isnan(scores).all(axis=0).tolist() == [False, False, False, True, True]
    doubts = find_doubts(scores, given)
    assert doubts.unchecked == (3, 4)
    assert not doubts.wrong[:, 3:].any()


def test_wrong_arguments(photographs):
    features, tags = photographs
    with pytest.raises(ValueError, match='60 photographs and tags of 59'):
        held_out_scores(features, tags[1:])
    with pytest.raises(ValueError, match='folds must be 2 or more, got 1'):
        held_out_scores(features, tags, folds=1)


@needs_cleanlab
def test_the_tool_writes_doubts_for_the_gallery(tmp_path, capsys):
    names = write_photos(tmp_path / 'photos', 6)
    labels = {name: [name.split('/')[0]] for name in names}
    ImageLabels(['disc', 'bar'], labels).save(tmp_path / 'tags.json')
    call_tool('tools/analysis_tools/check_tags.py', 'configs/cam/cam_vit-micro_sample.py', tmp_path / 'photos',
              '--tags', tmp_path / 'tags.json', '--out', tmp_path / 'doubts.json', '--flag', tmp_path / 'review.txt')
    found = json.loads((tmp_path / 'doubts.json').read_text())
    assert found['classes'] == ['disc', 'bar']
    assert set(found['images']) == set(names)
    flagged = (tmp_path / 'review.txt').read_text().split()
    assert set(flagged) == {name for name, one in found['images'].items() if one['wrong'] or one['missing']}
    assert f'{len(flagged)} of 12 photographs have doubted tags' in capsys.readouterr().out
