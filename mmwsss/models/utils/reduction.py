"""Divisors for means over all processes of a distributed run, and sums over groups of the images of a batch."""

from typing import Optional

from mmengine.dist import all_reduce, get_world_size
from torch import Tensor
from torch.nn import functional as F

__all__ = ['check_group_size', 'global_divisor', 'mean_of_groups', 'number_of_groups', 'spread_groups', 'sum_groups']


def global_divisor(divisor: Tensor, offset: float = 0.) -> Tensor:
    """Return the divisor that makes the mean over processes a mean over the global batch.

    A sum S_r over a process's own items, divided by ``(sum_r n_r + offset) / W`` with W processes, has the mean
    ``sum_r S_r / (sum_r n_r + offset)``, and so has its gradient, which distributed training averages.

    Args:
        divisor: Number n_r of a process's items; scalar, no gradient.
        offset: Added to the global number.

    Returns:
        Scalar; ``divisor + offset`` in a run of one process.
    """
    total = divisor.detach().clone()
    all_reduce(total, op='sum')
    return (total + offset) / get_world_size()


def check_group_size(group_size: Optional[int], across_processes: bool = False) -> None:
    """Refuse a size of groups that is not positive, or groups of images whose pixels all processes count together.

    Args:
        group_size: Number of images in a group; None for the whole batch.
        across_processes: Whether the loss counts over the batches of all processes.

    Raises:
        ValueError: ``group_size`` is less than 1, or both are given.
    """
    if group_size is not None and group_size < 1:
        raise ValueError(f'group_size must be 1 or more, got {group_size}')
    if group_size is not None and across_processes:
        raise ValueError('group_size and across_processes exclude each other: set group_size=None to count over all '
                         'processes, or across_processes=False to count over groups')


def number_of_groups(batch_size: int, group_size: Optional[int]) -> int:
    """Return the number n of groups into which a batch is divided.

    Group i has the images i, i + n, i + 2n, ..., as the samplers of this package distribute the images of a batch over
    n processes. A loss of one process that averages over n groups therefore equals the mean of the losses of n
    processes, image by image. If the batch cannot be divided evenly, some groups have one image less.

    Args:
        batch_size: B, the number of images.
        group_size: Number of images in a group; None for one group of all images. A batch that is smaller is one group.

    Returns:
        ceil(B / group_size).
    """
    return -(-batch_size // (group_size or batch_size))


def sum_groups(values: Tensor, group_size: Optional[int]) -> Tensor:
    """Sum values over the images of each group of a batch.

    Args:
        values: (B, ...).
        group_size: See :func:`number_of_groups`, which says what images a group has.

    Returns:
        (n, ...), one sum for each of the n groups.
    """
    count = number_of_groups(len(values), group_size)
    rows = -(-len(values) // count)
    missing = rows * count - len(values)
    if missing:
        values = F.pad(values, [0, 0] * (values.ndim - 1) + [0, missing])
    return values.reshape(rows, count, *values.shape[1:]).sum(dim=0)


def mean_of_groups(cost: Tensor, mask: Tensor, group_size: Optional[int], across_processes: bool = False) -> Tensor:
    """Return the mean cost over the chosen pixels of each group of a batch.

    Args:
        cost: (B, H, W).
        mask: (B, H, W), which pixels are chosen.
        group_size: See :func:`number_of_groups`, which says what images a group has.
        across_processes: Divide by the number of pixels of all processes; see :func:`global_divisor`.

    Returns:
        (n,), one mean for each of the n groups; 0, connected to the graph, for a group without such pixels.
    """
    count = sum_groups(mask.sum(dim=(1, 2)).float(), group_size)
    # The divisor is never 0; without pixels the numerator is 0.
    divisor = (global_divisor(count) if across_processes else count).clamp(min=1e-3)
    return sum_groups((cost * mask).sum(dim=(1, 2)), group_size) / divisor


def spread_groups(values: Tensor, batch_size: int) -> Tensor:
    """Return for each image the value of its group, where :func:`sum_groups` goes from images to groups.

    Args:
        values: (n, ...), one for each group.
        batch_size: B, the number of images.

    Returns:
        (B, ...).
    """
    rows = -(-batch_size // len(values))
    return values.repeat(rows, *[1] * (values.ndim - 1))[:batch_size]
