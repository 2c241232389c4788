"""Measure the peak memory of a piece of code."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Optional, Union

import torch
from torch.profiler import ProfilerActivity, profile

__all__ = ['PeakMemory', 'peak_memory']


@dataclass
class PeakMemory:
    """Result of :func:`peak_memory`, filled when the block ends.

    Attributes:
        bytes: Most bytes that tensors made inside the block held at one time; None inside the block.
    """

    bytes: Optional[int] = None

    @property
    def mib(self) -> float:
        """The peak in MiB."""
        return self.bytes / 2**20


@contextmanager
def peak_memory(device: Union[str, torch.device] = 'cpu') -> Iterator[PeakMemory]:
    """Measure the peak of tensor memory allocated inside a block, beyond what was held before it.

    On CPU every allocation and release of torch's allocator is recorded by the profiler, temporaries inside
    operations and the backward pass included; what was allocated before the block counts neither way, and so does
    memory of other libraries (NumPy, or the scratch space of BLAS). On CUDA the allocator's own statistics are used
    and its peak is reset. Recording slows the block down: measure time in another run.

    Example:
        >>> with peak_memory() as peak:
        ...     total = torch.ones(1024, 256).mul(2).sum()
        >>> peak.mib
        2.0...

    Args:
        device: Device whose memory is measured.

    Yields:
        PeakMemory: Filled at the end of the block.

    Raises:
        ValueError: If the device is neither a CPU nor a CUDA device.
    """
    device = torch.device(device)
    result = PeakMemory()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield result
        torch.cuda.synchronize(device)
        result.bytes = torch.cuda.max_memory_allocated(device) - before
    elif device.type == 'cpu':
        record = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
        with _hidden_stderr():
            record.start()
        try:
            yield result
        finally:
            with _hidden_stderr():
                record.stop()
        result.bytes = _peak_of_trace(record)
    else:
        raise ValueError(f"peak memory is measured on 'cpu' and 'cuda' devices, got {str(device)!r}.")


@contextmanager
def _hidden_stderr() -> Iterator[None]:
    """Hide what the profiler's library writes to the error output of the process."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, 'w') as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _peak_of_trace(record: profile) -> int:
    """Sum up the allocations (positive) and releases (negative) of a CPU profile in time order."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'trace.json')
        record.export_chrome_trace(path)
        with open(path, encoding='utf-8') as file:
            events = json.load(file)['traceEvents']
    changes = [(event['ts'], event['args']['Bytes']) for event in events
               if event.get('name') == '[memory]' and event['args']['Device Type'] == 0]
    held = peak = 0
    for _, change in sorted(changes, key=lambda item: item[0]):
        held += change
        peak = max(peak, held)
    return peak
