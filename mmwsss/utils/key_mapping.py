"""Renaming the weights of a checkpoint by a table of rules, with nothing lost unseen."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Optional

from torch import Tensor

from .messages import first_few

__all__ = ['KeyLayout', 'KeyRule', 'MappedKeys', 'find_weights', 'map_keys']


class KeyRule(NamedTuple):
    """How the names of some weights change.

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


class KeyLayout(NamedTuple):
    """How one kind of published checkpoint is laid out.

    Attributes:
        name (str): What error messages call it.
        rules (Sequence[KeyRule]): The first rule that matches a name counts.
        wrappers (Sequence[str]): Keys under which the weights may lie in the file.
        prefix (str): Removed from names that start with it.
    """

    name: str
    rules: Sequence[KeyRule]
    wrappers: Sequence[str] = ('model', 'state_dict')
    prefix: str = 'module.'


class MappedKeys(NamedTuple):
    """What :func:`map_keys` gives.

    Attributes:
        state_dict (dict[str, Tensor]): Weights under their new names.
        sources (dict[KeyRule, list[str]]): The old names that each rule took, in the order of the
            layout's rules; empty lists for optional rules that took none.
    """

    state_dict: dict[str, Tensor]
    sources: dict[KeyRule, list[str]]


def find_weights(checkpoint: Mapping, layout: KeyLayout) -> dict[str, Tensor]:
    """Take the weights out of what a checkpoint file holds.

    Args:
        checkpoint (Mapping): The file's content: weights by name, or a dict with them under one of
            the layout's wrapper keys.
        layout (KeyLayout): The kind of checkpoint.

    Returns:
        dict[str, Tensor]: Weights by name, without the layout's prefix.

    Raises:
        ValueError: There are no weights, or something else lies among them.
    """
    for wrapper in layout.wrappers:
        if isinstance(checkpoint.get(wrapper), Mapping):
            checkpoint = checkpoint[wrapper]
            break
    others = [key for key, value in checkpoint.items() if not isinstance(value, Tensor)]
    if others or not checkpoint:
        raise ValueError(
            f'not a checkpoint of {layout.name}: ' + (f'{first_few(others)} are no tensors' if others
                                                      else 'it holds no weights')
            + f'; weights are expected at top level or under {first_few(layout.wrappers)}')
    prefix = layout.prefix
    return {key[len(prefix):] if key.startswith(prefix) else key: value
            for key, value in checkpoint.items()}


def map_keys(weights: Mapping[str, Tensor], layout: KeyLayout) -> MappedKeys:
    """Rename weights by the rules of a layout.

    Args:
        weights (Mapping[str, Tensor]): Weights by their old names.
        layout (KeyLayout): The rules.

    Returns:
        MappedKeys: The renamed weights, and which rule took what. Only transposed tensors are copied.

    Raises:
        ValueError: A weight matches no rule, a required rule matches no weight, or two weights would
            get the same name. The message lists the names.
    """
    taken = {rule: [] for rule in layout.rules}
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
                raise ValueError(f'two weights of the {layout.name} checkpoint become {name}, one is {key}')
            renamed[name] = value.t().contiguous() if rule.transposed else value
    _check_complete(layout, left_over, taken)
    return MappedKeys(renamed, taken)


def _check_complete(layout: KeyLayout, left_over: list[str], taken: dict[KeyRule, list[str]]) -> None:
    """Refuse a checkpoint with weights too many or too few, in one message."""
    missing = [rule.source.replace('\\', '') for rule, keys in taken.items() if rule.required and not keys]
    problems = []
    if left_over:
        problems.append(f'{len(left_over)} weights have no place: {first_few(left_over)}')
    if missing:
        problems.append(f'it lacks {first_few(missing)}')
    if problems:
        raise ValueError(f'not a checkpoint of {layout.name}: {"; ".join(problems)}')
