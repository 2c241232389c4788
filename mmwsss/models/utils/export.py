"""Recognize when a model is run to record its graph, as exporters do."""

import torch

__all__ = ['is_recording']


def is_recording() -> bool:
    """Return whether ``torch.jit.trace``, ``torch.export`` or ``torch.compile`` records the operations that run.

    Sizes are then symbols, and a loop in Python becomes as many copies of its body.
    """
    return torch.jit.is_tracing() or torch.compiler.is_compiling()
