"""The result object: tables, means, best threshold, printers, and notes on classes that masks lack."""

import json

import numpy as np
import pytest
from rich.console import Console

from mmwsss.evaluation import MEANS, RATES, EvaluationResult, format_rate, mean_over_classes, without_nan

CLASSES = ['background', 'cat', 'dog']
HITS = np.array([[4, 3, 1], [5, 2, 1], [6, 0, 1]])
PREDICTED = np.array([[5, 6, 2], [7, 4, 2], [12, 0, 1]])
TRUTH = np.array([8, 3, 2])


@pytest.fixture
def result() -> EvaluationResult:
    return EvaluationResult(HITS, PREDICTED, TRUTH, CLASSES, np.array([.1, .2, .4]), num_images=7)


def test_table_of_a_threshold(result: EvaluationResult):
    table = result.per_class(.2)
    assert list(table.columns) == list(RATES)
    assert table.loc['cat'].tolist() == pytest.approx([40, 40, 20, 50, 200 / 3])
    assert table[['IoU', 'FP', 'FN']].sum(axis=1).tolist() == pytest.approx([100] * 3)
    assert np.isnan(result.per_class(.4).loc['cat', 'precision'])


def test_means_and_metrics(result: EvaluationResult):
    assert list(result.means.columns) == list(MEANS)
    assert result.means['mIoU'].tolist() == pytest.approx([(400 / 9 + 50 + 100 / 3) / 3, (50 + 40 + 100 / 3) / 3,
                                                           (600 / 14 + 0 + 50) / 3])
    metrics = result.metrics(.2, oracle=result.best())
    assert metrics['mIoU'] == result.means['mIoU'][.2]
    assert metrics['oracle_precision'] == result.means['precision'][.1]
    assert (metrics['threshold'], metrics['oracle_threshold']) == (.2, .1)
    assert list(result.metrics(.2)) == [*MEANS, 'threshold']
    assert result.means['precision'][.4] == pytest.approx(75), 'an undefined precision is left out of the mean'


def test_best_threshold_of_all_of_some_and_stopping_early():
    hits = np.array([[1, 1], [4, 2], [3, 2], [4, 3]])
    result = EvaluationResult(hits, np.full((4, 2), 4), np.array([4, 4]), CLASSES[:2], np.array([.1, .2, .3, .4]))
    assert result.best() == .4
    assert result.best(stop_early=True) == .2
    assert result.best(among=[.1, .3]) == .3
    with pytest.raises(ValueError, match='none of the thresholds'):
        result.best(among=[.7])


def test_result_of_label_maps_has_no_thresholds():
    result = EvaluationResult(HITS[0], PREDICTED[0], TRUTH, CLASSES, undecided=2.5)
    assert result.metrics() == result.means.iloc[0].to_dict()
    assert result.to_dict()['undecided'] == 2.5
    for call in (result.best, lambda: result.per_class(.5), lambda: result.metrics(.5)):
        with pytest.raises(ValueError, match='no thresholds'):
            call()


def test_wrong_thresholds_and_sizes(result: EvaluationResult):
    with pytest.raises(ValueError, match='threshold 0.3 is not one of the 3 that were evaluated, 0.1 to 0.4'):
        result.per_class(.3)
    with pytest.raises(ValueError, match='name one of the 3 thresholds'):
        result.per_class()
    with pytest.raises(ValueError, match=r'2 classes were named and counts of shape \(3,\)'):
        EvaluationResult(HITS[0], PREDICTED[0], TRUTH, CLASSES[:2])


def test_dictionary_is_json(result: EvaluationResult):
    found = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert found['classes'] == CLASSES
    assert found['thresholds'] == [.1, .2, .4]
    assert found['num_images'] == 7
    assert found['class_FP'][1][1] == pytest.approx(40)
    assert found['precision'][2][1] is None
    assert set(RATES.values()) | set(MEANS.values()) <= set(found)


@pytest.mark.parametrize('printer', ['table', 'text'])
def test_printers_show_rates_and_means(result: EvaluationResult, capsys: pytest.CaptureFixture, printer: str):
    if printer == 'table':
        Console(width=100).print(result.to_table(.4, title='at 0.4'))
        output = capsys.readouterr().out
        assert 'at 0.4' in output
    else:
        output = result.to_text(.4)
        assert output.isascii()
    rows = {line.split()[1]: line for line in output.splitlines() if len(line.split()) > 3}
    assert '42.86' in rows['background']
    assert ' - ' in rows['cat']
    assert '30.95' in rows['mean']


@pytest.mark.parametrize(('truth', 'predicted', 'ignored', 'words'), [
    ([5, 0, 0], [5, 0, 0], 9, ['only 0 and 255']),
    ([5, 0, 0], [2, 3, 0], 9, ['only 0 and 255']),
    ([5, 0, 0], [5, 0, 0], 0, ['no pixel of a foreground class']),
    ([0, 0, 0], [0, 0, 0], 9, ['no pixel of a foreground class']),
    ([5, 2, 0], [5, 0, 2], 0, ["Predicted, but in none of the masks: 'dog'"]),
    ([5, 2, 0], [5, 2, 0], 9, ["left out of the means: 'dog'"]),
    ([5, 2, 1], [8, 0, 0], 9, []),
])
def test_notes_on_classes_that_masks_lack(truth: list, predicted: list, ignored: int, words: list):
    result = EvaluationResult(np.minimum(truth, predicted), np.array(predicted), np.array(truth), CLASSES,
                              ignored=ignored)
    assert len(result.notes) == len(words)
    assert all(word in note for word, note in zip(words, result.notes))
    judged = bool(np.any(truth[1:]))
    assert result.has_foreground == judged
    assert np.isfinite(result.metrics()['mIoU']) == judged
    assert result.to_dict()['notes'] == result.notes


def test_best_of_a_result_without_a_class_is_undefined():
    result = EvaluationResult(np.array([[5, 0]]), np.array([[5, 0]]), np.array([5, 0]), CLASSES[:2], np.array([.5]))
    assert np.isnan(result.best())
    assert all(np.isnan(value) for key, value in result.metrics(.5, result.best()).items() if key != 'threshold')


def test_numbers_without_nan():
    assert mean_over_classes(np.array([[1, np.nan, 3], [np.nan] * 3])).tolist()[0] == 2
    assert without_nan({'a': [1., float('nan')], 'b': {'c': float('nan')}, 'd': 'x'}) == {
        'a': [1., None], 'b': {'c': None}, 'd': 'x'}
    assert [format_rate(value) for value in (12.345, 0, None, float('nan'))] == ['12.35', '0.00', '-', '-']
