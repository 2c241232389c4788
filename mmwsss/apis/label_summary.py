"""What a labelling run did."""

import copy
from dataclasses import dataclass, field

import numpy as np
from mmengine.dist import all_gather_object, get_rank

__all__ = ['LabelSummary']


@dataclass
class LabelSummary:
    """What a run did, added up over processes.

    Attributes:
        num_written (int): Label maps made by this run.
        num_kept (int): Finished ones that were there before.
        seconds (float): Duration.
        pixels (np.ndarray): (256,) int64, pixels of each value over all label maps of the data set.
        images (np.ndarray): (256,) int64, label maps in which each value occurs.
    """

    num_written: int = 0
    num_kept: int = 0
    seconds: float = 0.
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    images: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))

    def count(self, pixels: np.ndarray, written: bool) -> None:
        """Add a label map by its pixels of each value, (256,)."""
        self.num_written += written
        self.num_kept += not written
        self.pixels += pixels
        self.images += pixels > 0

    def merge(self, other: 'LabelSummary') -> None:
        """Add the share of another process."""
        self.num_written += other.num_written
        self.num_kept += other.num_kept
        self.seconds = max(self.seconds, other.seconds)
        self.pixels += other.pixels
        self.images += other.images

    def over_processes(self) -> 'LabelSummary':
        """The sum over all processes, the same in each; waits for the last one."""
        total = copy.deepcopy(self)
        for rank, other in enumerate(all_gather_object(self)):
            if rank != get_rank():
                total.merge(other)
        return total
