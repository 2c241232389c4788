"""How long fuzz tests search, and damage that files of all kinds take.

In CI, each test tries 60 inputs, which are the same every time; all take about a minute. ``MMWSSS_FUZZ_EXAMPLES=5000``
in the environment searches longer, with other inputs each time.
"""

import os

import pytest

pytest.importorskip('hypothesis', reason='fuzz tests need hypothesis')

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get('MMWSSS_FUZZ_EXAMPLES', 60))

fuzz = settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES <= 60, database=None,
                suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
"""Decorator of fuzz tests, above ``@given``."""

DAMAGE = st.one_of(
    st.tuples(st.just('cut'), st.floats(0, 1), st.just(b'')),
    st.tuples(st.sampled_from(['replace', 'insert']), st.floats(0, 1), st.binary(min_size=1, max_size=8)))
"""Strategy of what :func:`damaged` does: cut a file off, or replace or insert bytes at a relative position."""


def damaged(content: bytes, damage: tuple) -> bytes:
    """Return a damaged copy of the content of a file."""
    kind, where, extra = damage
    place = int(where * len(content))
    if kind == 'cut':
        return content[:place]
    return content[:place] + extra + content[place + (len(extra) if kind == 'replace' else 0):]
