"""The results files of the tools."""

import json

import numpy as np
import pytest

from mmwsss.utils.results import read_results, write_results


def test_values_are_written_as_json(tmp_path):
    path = write_results(tmp_path / 'new/results.json', 'test.py', {'a/b': np.float32(1.5), 'a/c': float('nan')},
                         'cfg.py', tmp_path / 'x.pth', curve=np.array([1., np.inf]), counts={1: np.int64(2)})
    assert json.loads(path.read_text()) == {
        'tool': 'test.py', 'config': 'cfg.py', 'checkpoint': str(tmp_path / 'x.pth'),
        'metrics': {'a/b': 1.5, 'a/c': None}, 'curve': [1., None], 'counts': {'1': 2}}
    assert read_results(path)['metrics']['a/b'] == 1.5


@pytest.mark.parametrize(('text', 'message'), [
    ('{"metr', 'results.json is not a valid JSON file'), ('{"mIoU": 1}', 'is not the results file of a tool'),
    ('[]', 'is not the results file of a tool')])
def test_other_files_are_refused(tmp_path, text, message):
    (tmp_path / 'results.json').write_text(text)
    with pytest.raises(ValueError, match=message):
        read_results(tmp_path / 'results.json')
