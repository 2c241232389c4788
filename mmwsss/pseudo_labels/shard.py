"""The share of one of several independent runs that label a data set together."""

import re
from dataclasses import dataclass

__all__ = ['Shard']


@dataclass(frozen=True)
class Shard:
    """Run ``index`` of ``count`` runs that share the images of a data set; ``index`` counts from 1.

    Every run takes each ``count``-th image, so that all runs get about the same number from every part of the list.

    Attributes:
        index (int): Which run it is, from 1 to ``count``.
        count (int): The number of runs.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> 'Shard':
        """Read a shard as the command line has it.

        Args:
            text (str): ``'I/N'``, such as ``'3/8'`` for the third of eight.

        Raises:
            ValueError: It has another form, or I is not between 1 and N.
        """
        match = re.fullmatch(r'(\d+)/(\d+)', text.strip())
        if match is None:
            raise ValueError(f'a shard is I/N, such as 3/8 for the third of eight, got {text!r}')
        shard = cls(int(match[1]), int(match[2]))
        if not 1 <= shard.index <= shard.count:
            raise ValueError(f'shards are counted from 1/N to N/N, got {text}; for a scheduler that counts from 0, add '
                             '1')
        return shard

    def __str__(self) -> str:
        return f'{self.index}/{self.count}'

    def images(self, num_images: int, rank: int = 0, world_size: int = 1) -> range:
        """Return the indices of the images that a process of the run takes.

        Args:
            num_images (int): The number of images of the data set.
            rank (int): The process, from 0; the run may have several, as ``--launcher`` starts them.
            world_size (int): The number of processes of the run.
        """
        return range(self.index - 1 + self.count * rank, num_images, self.count * world_size)
