"""What the tests of metrics share: a slow reference, and evaluation in several processes.

pytest reads this file before it starts test processes, so torch is imported by the fixtures.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest


@pytest.fixture
def brute_force() -> Callable:
    """Return a function that computes per-class rates at one threshold by a loop over pixels."""
    from .references import brute_force
    return brute_force


@pytest.fixture
def evaluate_in_ranks(tmp_path: Path) -> Callable:
    """Return a function that runs an evaluator on samples in several processes, with the metrics of each rank."""
    from .references import evaluate_in_ranks
    return partial(evaluate_in_ranks, str(tmp_path / 'init'))
