"""Phrases that are shared by error messages."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from .errors import UserError

__all__ = ['closest', 'first_few', 'refuse_old_keys']


def first_few(items: Iterable, limit: int = 5) -> str:
    """Return the first items as text, with the number of the others.

    Args:
        items (Iterable): What to list, in order.
        limit (int): How many to spell out.

    Returns:
        str: For instance ``'a', 'b' and 10 more``.

    Examples:
        >>> first_few('abcd', limit=2)
        "'a', 'b' and 2 more"
    """
    items = list(items)
    text = ', '.join(repr(str(item)) for item in items[:limit])
    return f'{text} and {len(items) - limit} more' if len(items) > limit else text


def closest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the known name that was probably meant, or an empty string.

    Args:
        name (str): What was given.
        known (Iterable[str]): What is allowed.

    Returns:
        str: For instance `` (did you mean 'cat'?)``, with a leading space.
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    match = get_close_matches(str(name).lower(), by_lower, n=1)
    return f' (did you mean {by_lower[match[0]]!r}?)' if match else ''


def refuse_old_keys(owner: str, given: Mapping, renamed: Mapping[str, str]) -> None:
    """Refuse config keys that have been renamed.

    Args:
        owner (str): Name of the class that has the keys, such as ``'CAMClassifier'``.
        given (Mapping): The arguments in the config.
        renamed (Mapping[str, str]): Old key -> what to write instead.

    Raises:
        UserError: An old key is among those given; the message names the new one.
    """
    for old, new in renamed.items():
        if old in given:
            raise UserError(f'{owner} no longer takes {old!r}: write {new}')
