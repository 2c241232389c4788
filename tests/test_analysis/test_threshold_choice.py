"""The threshold at which foreground and background differ most, found without masks."""

import argparse
import json

import numpy as np
import pytest

from mmwsss.analysis.threshold_choice import THRESHOLDS, choose_threshold, feature_separation, labels_at
from mmwsss.utils.cli import threshold_argument


@pytest.fixture
def photograph():
    """Features of 10 x 10 patches that tell an object, and a map of it that falls off from its center."""
    rows, columns = np.mgrid[:100, :100]
    distance = np.hypot(rows - 50, columns - 50)
    features = np.random.default_rng(0).normal(0, .1, (8, 10, 10))
    features[0] += 1
    features[1] += 3 * (distance[5::10, 5::10] < 30)
    return features, 1 - distance / 75


def test_the_object_is_found(photograph):
    features, cam = photograph  # the edge of the object is at 1 - 30 / 75
    separation = np.array([[feature_separation(features, cam > threshold) for threshold in THRESHOLDS]])
    areas = np.array([[(cam > threshold).mean() for threshold in THRESHOLDS]])
    choice = choose_threshold(separation, areas)
    assert choice.threshold == pytest.approx(.6, abs=.05)
    assert f'{choice.threshold:g} is the median' in choice.reason
    assert max(choice.separation) > .6


def test_one_photograph_does_not_decide():
    separation = np.zeros((6, 16))
    separation[0, 2] = 1.  # alone, it has the largest mean
    separation[[1, 2, 3], [6, 7, 8]] = .1
    separation[4, 9] = .2  # the last one is not divided by any threshold
    assert separation.mean(axis=0).argmax() == 2
    assert choose_threshold(separation, np.zeros((6, 16))).threshold == THRESHOLDS[7]
    assert choose_threshold(separation[5:], np.zeros((1, 16))).threshold == THRESHOLDS[0]


def test_separation_without_a_division(photograph):
    features, _ = photograph
    assert feature_separation(features, np.ones((100, 100), bool)) == 0
    assert feature_separation(features, np.zeros((100, 100), bool)) == 0
    assert 0 <= feature_separation(features, np.random.default_rng(1).random((100, 100)) > .5) < .1


def test_labels_at_a_threshold():
    cams = np.array([[[.2, .5, .9]], [[.6, .4, .5]]])
    assert labels_at(cams, [3, 1], .5).tolist() == [[1, 0, 3]]
    assert labels_at(cams[:0], [], .5).tolist() == [[0, 0, 0]]


def test_wrong_sizes():
    with pytest.raises(ValueError, match='no photograph'):
        choose_threshold(np.zeros((0, 16)), np.zeros((0, 16)))
    with pytest.raises(ValueError, match=r'must be \(N, 16\)'):
        choose_threshold(np.zeros((2, 3)), np.zeros((2, 3)))


def test_thresholds_on_command_lines(tmp_path):
    assert threshold_argument('0.3') == .3
    (tmp_path / 't.json').write_text(json.dumps(dict(threshold=.45)))
    assert threshold_argument(str(tmp_path / 't.json')) == .45
    for wrong in ('none.json', str(tmp_path)):
        with pytest.raises(argparse.ArgumentTypeError, match='neither a number nor a file'):
            threshold_argument(wrong)
