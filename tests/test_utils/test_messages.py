import pytest

from mmwsss.utils import closest, first_few


@pytest.mark.parametrize(('items', 'text'), [
    ([], ''), (['a'], "'a'"), (iter('abcde'), "'a', 'b', 'c', 'd', 'e'"),
    ('abcdefg', "'a', 'b', 'c', 'd', 'e' and 2 more")])
def test_first_few(items, text):
    assert first_few(items) == text


def test_closest_ignores_case_and_stays_silent_when_nothing_is_near():
    assert closest('CAR', ['cat', 'car']) == " (did you mean 'car'?)"
    assert closest('zebra', ['cat', 'car']) == ''
    assert closest('x', []) == ''
