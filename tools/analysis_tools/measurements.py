"""What the benchmarks of this folder share: rounds in turns, their medians, and one format of results.

The format, which ``bench_all.py`` collects, is a JSON object with ``name``, ``rows`` and ``versions``. A row has
``what`` was measured, ``against`` what, ``ratio`` (how many times as fast), ``seconds`` and ``baseline_seconds`` of all
rounds, and ``equal_to``: the largest difference of both results, or None where they are not compared. Where memory was
measured, there is ``memory_ratio`` as well: how many times less.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import cv2
import torch

import mmwsss
from mmwsss.compat import installed_version
from mmwsss.utils import write_json

__all__ = ['add_measurement_arguments', 'counted', 'medians', 'result_row', 'time_in_turns', 'write_rows']


def add_measurement_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--repeat``, by default 5, and ``--json`` to the arguments of a benchmark."""
    parser.add_argument('--repeat', '--repeats', '--rounds', type=int, default=5, metavar='N', dest='repeat',
                        help='rounds; the median counts (default: 5)')
    parser.add_argument('--json', metavar='FILE', help='also write the numbers there')


def time_in_turns(functions: Sequence[Callable[[], Any]], device: Union[str, torch.device], repeat: int,
                  warm_up: bool = True) -> list[list[float]]:
    """Time functions in turns, so that whatever else the machine does affects each of them.

    Args:
        functions: Take no arguments.
        device: Where they compute; a GPU is waited for.
        repeat: Rounds that count.
        warm_up: Whether to begin with a round that does not count.

    Returns:
        Seconds of all rounds, by function.
    """
    seconds: list[list[float]] = [[] for _ in functions]
    for index in range(repeat + warm_up):
        for taken, function in zip(seconds, functions):
            _wait(device)
            began = time.perf_counter()
            function()
            _wait(device)
            if index >= warm_up:
                taken.append(time.perf_counter() - began)
    return seconds


def _wait(device: Union[str, torch.device]) -> None:
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize(device)


def medians(seconds: Sequence[Sequence[float]]) -> list[float]:
    """Return the median of the rounds of each function."""
    return [statistics.median(taken) for taken in seconds]


def result_row(what: str, against: str, seconds: Sequence[float], baseline_seconds: Sequence[float],
               equal_to: Optional[float] = None, memory_ratio: Optional[float] = None) -> dict[str, Any]:
    """Return a row of the format, with the ratio of the medians."""
    ours, plain = medians([seconds, baseline_seconds])
    row = dict(what=what, against=against, ratio=plain / ours, seconds=list(seconds),
               baseline_seconds=list(baseline_seconds), equal_to=None if equal_to is None else float(equal_to))
    return row if memory_ratio is None else dict(row, memory_ratio=float(memory_ratio))


def write_rows(path: Optional[str], script: str, rows: Sequence[dict]) -> None:
    """Write the results of a benchmark, if asked.

    Args:
        path: The file; None writes nothing.
        script: ``__file__`` of the benchmark.
        rows: See :func:`result_row`.
    """
    if path:
        write_json(dict(name=Path(script).stem.removeprefix('bench_'), rows=list(rows), versions=_versions()), path)


def counted(number: int, thing: str) -> str:
    """Return a number with what is counted, such as ``1 worker`` or ``2 workers``."""
    return f'{number} {thing}' if number == 1 else f'{number} {thing}s'


def _versions() -> dict[str, Any]:
    found = {name: installed_version(name) for name in ('mmengine', 'mmcv', 'mmseg', 'mmpretrain', 'numpy')}
    return dict(mmwsss=mmwsss.__version__, python=platform.python_version(), torch=torch.__version__,
                threads=torch.get_num_threads(), machine=platform.machine(), cv2=cv2.__version__,
                **{name: number for name, number in found.items() if number})
