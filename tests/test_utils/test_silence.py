"""What libraries print while they build models is hidden, and everything else is shown as before."""

import warnings

import pytest
from mmengine.logging import MMLogger, print_log

from mmwsss.utils.silence import silent


def test_output_is_hidden_inside_only(capfd):
    MMLogger.get_instance('test of silence')  # writes to the output of this test
    print_log('before', logger='current')  # the logger remembers that it is enabled
    with silent():
        print('printed')
        print_log('logged', logger='current')
        warnings.warn('warned', stacklevel=1)
    print_log('after', logger='current')
    shown = ''.join(capfd.readouterr())
    assert 'before' in shown
    assert 'after' in shown
    assert not {'printed', 'logged', 'warned'} & set(shown.split())


def test_errors_are_raised_and_output_comes_back(capfd):
    with pytest.raises(KeyError), silent():
        raise KeyError('wrong')
    print('shown')
    assert 'shown' in capfd.readouterr().out
