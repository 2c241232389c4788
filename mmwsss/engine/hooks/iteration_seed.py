"""Seed the random generators before each iteration."""

import random
from typing import Any, Optional

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmwsss.registry import HOOKS

__all__ = ['IterationSeedHook']


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seed the global generators before every training iteration from seed, iteration and rank.

    Whatever the model draws (stochastic depth, dropout) then depends on nothing that happened before, so that a
    resumed run draws what the uninterrupted one would have.

    Args:
        seed: Defaults to the seed of the run.
    """

    def __init__(self, seed: Optional[int] = None) -> None:
        self.seed = seed

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed python's, numpy's and torch's generators."""
        seed = runner.seed if self.seed is None else self.seed
        state = np.random.SeedSequence([seed or 0, runner.iter, get_rank()]).generate_state(1)
        value = int(state[0])
        random.seed(value)
        np.random.seed(value)
        torch.manual_seed(value)
