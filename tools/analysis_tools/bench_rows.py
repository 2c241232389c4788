"""What benchmarks of this folder share: measure in turns, and write rows of results as JSON."""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Optional

import torch

import mmwsss
from mmwsss.utils import write_json

__all__ = ['add_row_arguments', 'make_row', 'measure_in_turns', 'write_rows']


def add_row_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--repeat`` and ``--json``."""
    parser.add_argument('--repeat', type=int, default=5, metavar='N',
                        help='rounds, of which the median counts, after one to warm up (default: 5)')
    parser.add_argument('--json', metavar='FILE', help='also write the numbers there')


def measure_in_turns(functions: Sequence[Callable[[], Any]], repeat: int,
                     device: Optional[torch.device] = None) -> list[list[tuple[float, float]]]:
    """Call functions in turns, so that other load on the machine affects each of them.

    Args:
        functions: What to measure.
        repeat: Rounds that count; one more comes before them.
        device: What to wait for where it is a GPU.

    Returns:
        For each function the seconds of each round: on the clock, and of the processor.
    """
    found: list[list[tuple[float, float]]] = [[] for _ in functions]
    for _ in range(repeat + 1):
        for seconds, function in zip(found, functions):
            clock, processor = time.perf_counter(), time.process_time()
            function()
            if device is not None and device.type == 'cuda':
                torch.cuda.synchronize(device)
            seconds.append((time.perf_counter() - clock, time.process_time() - processor))
    return [seconds[1:] for seconds in found]


def make_row(what: str, against: str, seconds: Sequence[float], baseline_seconds: Sequence[float], equal_to: Any,
             **others: Any) -> dict[str, Any]:
    """Build a row of results.

    Args:
        what: What was measured.
        against: What it was compared with.
        seconds: Of every round.
        baseline_seconds: Those of ``against``.
        equal_to: How far the results of both are apart.
        **others: Further numbers.

    Returns:
        The row; its ``ratio`` is how many times as fast as ``against`` it is, by the medians.
    """
    ratio = statistics.median(baseline_seconds) / statistics.median(seconds)
    return dict(what=what, against=against, ratio=ratio, seconds=list(seconds), baseline_seconds=list(baseline_seconds),
                equal_to=equal_to, **others)


def write_rows(name: str, rows: Sequence[dict], path: Optional[str]) -> None:
    """Write the rows of a benchmark, and the versions and the machine that they are of; nothing without a path."""
    if path:
        versions = dict(mmwsss=mmwsss.__version__, torch=torch.__version__, python=platform.python_version(),
                        threads=torch.get_num_threads(), machine=platform.processor() or platform.machine())
        write_json(dict(name=name, rows=list(rows), versions=versions), path)
