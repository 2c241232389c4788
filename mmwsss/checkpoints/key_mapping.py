"""Rename the weights of a checkpoint by a table of rules, and refuse checkpoints with weights left over."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Optional, Union

import torch
from torch import Tensor

from mmwsss.utils import first_few

from .loader import CheckpointError

__all__ = ['JoinedKeys', 'KeyLayout', 'KeyRule', 'MappedKeys', 'find_weights', 'join_weights', 'map_keys',
           'missing_blocks', 'rename_weights']


class KeyRule(NamedTuple):
    """A rule that renames some of the weights.

    Attributes:
        source (str): Regular expression that matches whole names.
        target (str or None): New name, with ``\\1`` and so on for the groups of ``source``; None
            drops the weight.
        required (bool): Whether a checkpoint without any such weight is another kind of checkpoint.
        ndim (int, optional): Number of dimensions of the weights it takes, where that tells kinds of checkpoints apart.
        transposed (bool): Whether the two dimensions of the weight change places.
    """

    source: str
    target: Optional[str]
    required: bool = True
    ndim: Optional[int] = None
    transposed: bool = False


class JoinedKeys(NamedTuple):
    """Weights that become one before the rules are applied.

    Attributes:
        parts (Sequence[str]): Their names, in the order in which they are joined.
        name (str): Name of the result.
        dim (int): The dimension along which they are joined.
    """

    parts: Sequence[str]
    name: str
    dim: int


class KeyLayout(NamedTuple):
    """The layout of one kind of published checkpoint.

    Attributes:
        name (str): Name of the layout in error messages.
        rules (Sequence[KeyRule]): The first rule that matches a name counts.
        wrappers (Sequence[str]): Keys under which the weights may lie in the file.
        prefix (str): Removed from names that start with it.
        blocks (Sequence[str]): Regular expressions of new names, each of which must occur; for blocks that
            :func:`missing_blocks` cannot know of.
        alike (bool): Whether numbered blocks have the same parts, so that :func:`missing_blocks` finds what one lacks.
        joined (Sequence[JoinedKeys]): Weights that :func:`join_weights` joins.
    """

    name: str
    rules: Sequence[KeyRule]
    wrappers: Sequence[str] = ('model', 'state_dict')
    prefix: str = 'module.'
    blocks: Sequence[str] = ()
    alike: bool = True
    joined: Sequence[JoinedKeys] = ()


class MappedKeys(NamedTuple):
    """The return value of :func:`map_keys`.

    Attributes:
        state_dict (dict[str, Tensor]): Weights under their new names.
        sources (dict[KeyRule, list[str]]): The old names that each rule matched, in the order of the
            layout's rules; empty lists for optional rules that matched none.
    """

    state_dict: dict[str, Tensor]
    sources: dict[KeyRule, list[str]]


def find_weights(checkpoint: Mapping, layout: KeyLayout) -> dict[str, Tensor]:
    """Return the weights in the content of a checkpoint file.

    Args:
        checkpoint (Mapping): The file's content: weights by name, or a dict with them under one of
            the layout's wrapper keys.
        layout (KeyLayout): The kind of checkpoint.

    Returns:
        dict[str, Tensor]: Weights by name, without the layout's prefix, joined as :func:`join_weights` does.

    Raises:
        CheckpointError: There are no weights, or something else lies among them.
    """
    for wrapper in layout.wrappers:
        if isinstance(checkpoint.get(wrapper), Mapping):
            checkpoint = checkpoint[wrapper]
            break
    others = [key for key, value in checkpoint.items() if not isinstance(value, Tensor)]
    if others or not checkpoint:
        raise CheckpointError(
            f'not a checkpoint of {layout.name}: ' + (f'{first_few(others)} are no tensors' if others
                                                      else 'it holds no weights')
            + f'; weights are expected at top level or under {first_few(layout.wrappers)}')
    prefix = layout.prefix
    return join_weights({key[len(prefix):] if key.startswith(prefix) else key: value
                         for key, value in checkpoint.items()}, layout)


def join_weights(weights: Mapping[str, Tensor], layout: KeyLayout) -> dict[str, Tensor]:
    """Join the weights that are one in the new layout; those of which a part is missing stay as they are.

    Args:
        weights (Mapping[str, Tensor]): Weights by their old names.
        layout (KeyLayout): Its ``joined`` says which.

    Returns:
        dict[str, Tensor]: Weights by name.
    """
    weights = dict(weights)
    for parts, name, dim in layout.joined:
        if all(part in weights for part in parts):
            weights[name] = torch.cat([weights.pop(part) for part in parts], dim=dim)
    return weights


def map_keys(weights: Mapping[str, Tensor], layout: KeyLayout) -> MappedKeys:
    """Rename weights by the rules of a layout.

    Args:
        weights (Mapping[str, Tensor]): Weights by their old names.
        layout (KeyLayout): The rules.

    Returns:
        MappedKeys: The renamed weights, and the names that each rule matched. Only transposed tensors are copied.

    Raises:
        CheckpointError: A weight matches no rule, a required rule matches no weight, a block or a part of one is
            missing, or two weights would get the same name. The message lists the names.
    """
    taken: dict = {rule: [] for rule in layout.rules}
    renamed, left_over = {}, []
    for key, value in weights.items():
        rule = next((rule for rule in layout.rules
                     if re.fullmatch(rule.source, key) and rule.ndim in (None, value.ndim)), None)
        if rule is None:
            left_over.append(key)
            continue
        taken[rule].append(key)
        if rule.target is not None:
            name = re.fullmatch(rule.source, key).expand(rule.target)
            if name in renamed:
                raise CheckpointError(f'two weights of the {layout.name} checkpoint become {name}, one is {key}')
            renamed[name] = value.t().contiguous() if rule.transposed else value
    _check_complete(layout, left_over, taken, renamed)
    return MappedKeys(renamed, taken)


def rename_weights(checkpoint: Mapping, layout: KeyLayout, path: Union[str, os.PathLike]) -> dict[str, Tensor]:
    """Return the renamed weights of a checkpoint; see :func:`find_weights` and :func:`map_keys`.

    Args:
        checkpoint (Mapping): The file's content.
        layout (KeyLayout): The kind of checkpoint.
        path (str or PathLike): The file, for messages.

    Returns:
        dict[str, Tensor]: Weights under their new names.

    Raises:
        CheckpointError: It is another kind of checkpoint, or is incomplete; the message names the file.
    """
    try:
        return map_keys(find_weights(checkpoint, layout), layout).state_dict
    except CheckpointError as error:
        raise CheckpointError(f'{path} is {error}') from error


def missing_blocks(names: Iterable[str]) -> list[str]:
    """Return the weights that numbered blocks lack, by comparing each block with the others.

    A block is a module of modules whose name ends with a number: ``layers.3`` or ``conv_trans_3``. What more than half
    of the blocks up to the highest number have, all of them must have, from 0 (``layers.0``) or from the lowest number
    (``conv_trans_2``).

    Args:
        names (Iterable[str]): Names of weights.

    Returns:
        list[str]: Names of the missing weights, in order. A block missing at the end is not seen.

    Examples:
        >>> missing_blocks(['layers.0.norm.weight', 'layers.1.norm.weight', 'layers.3.norm.weight'])
        ['layers.2.norm.weight']
    """
    blocks: dict[str, dict[int, set]] = defaultdict(lambda: defaultdict(set))
    for name in names:
        found = re.match(r'(.*?(?:\.|_))(\d+)(\..+\..+)', name)
        if found:
            blocks[found[1]][int(found[2])].add(found[3])
    missing = []
    for prefix, parts in blocks.items():
        first = 0 if prefix.endswith('.') else min(parts)  # lists of modules count from 0
        numbers = range(first, max(parts) + 1)
        counts = Counter(part for found in parts.values() for part in found)
        common = sorted(part for part, count in counts.items() if 2 * count > len(numbers))
        missing += [f'{prefix}{number}{part}' for number in numbers for part in common if part not in parts[number]]
    return missing


def _check_complete(layout: KeyLayout, left_over: list[str], taken: dict[KeyRule, list[str]],
                    renamed: Mapping[str, Tensor]) -> None:
    """Refuse a checkpoint with missing or unexpected weights, in one message."""
    missing = [rule.source.replace('\\', '') for rule, keys in taken.items() if rule.required and not keys]
    lost = missing_blocks(renamed) if layout.alike else []
    lost += [block.replace('\\', '') for block in layout.blocks if not any(re.match(block, name) for name in renamed)]
    problems = []
    if left_over:
        problems.append(f'{len(left_over)} weights have no place: {first_few(left_over)}')
    if missing:
        problems.append(f'it lacks {first_few(missing)}')
    elif lost:
        problems.append(f'it is incomplete: {len(lost)} weights or blocks are missing, by their names in mmwsss '
                        f'{first_few(lost)}')
    if problems:
        raise CheckpointError(f'not a checkpoint of {layout.name}: {"; ".join(problems)}')
