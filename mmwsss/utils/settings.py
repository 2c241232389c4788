"""Check settings in a config against a table that states what each of them may be."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Optional

from .errors import UserError
from .messages import closest, refuse_old_keys

__all__ = ['Setting', 'SettingsTable', 'anything', 'choice', 'each', 'flag', 'in_order', 'names', 'nested', 'number',
           'numbers', 'one_of_kinds']

Rule = Callable[[Mapping], Optional[str]]


@dataclass(frozen=True)
class Setting:
    """What one setting may be.

    Attributes:
        wanted (str): What the values are, as an error says it after "must be".
        accepts (Callable): Returns whether a value is allowed.
        required (bool): Whether the setting must be given.
        table (SettingsTable, optional): What the entries of a dictionary, or of each dictionary in a list, may be.
    """

    wanted: str
    accepts: Callable[[Any], bool]
    required: bool = False
    table: Optional['SettingsTable'] = None

    def check(self, owner: str, key: str, value: Any) -> None:
        """Refuse a value that is not allowed.

        Args:
            owner (str): What has the setting, such as ``'train_cfg of ToCo'``.
            key (str): Name of the setting.
            value (Any): Its value.

        Raises:
            UserError: The value is not allowed; the message names the setting.
        """
        if not self.accepts(value):
            raise UserError(f'{owner}: {key} must be {self.wanted}, got {value!r}')
        if self.table is None or value is None:
            return
        if isinstance(value, Mapping):
            self.table.check(f'{owner}: {key}', value)
            return
        for position, entry in enumerate(value):
            self.table.check(f'{owner}: {key}[{position}]', entry)


class SettingsTable:
    """What the settings of a config's dictionary may be.

    Args:
        entries (Mapping[str, Setting]): By key.
        rules (Sequence[Callable]): Each takes the dictionary and returns what is wrong with several settings together,
            or None.
        renamed (Mapping[str, str], optional): Old key -> what to write instead.
    """

    def __init__(self, entries: Mapping[str, Setting], rules: Sequence[Rule] = (),
                 renamed: Optional[Mapping[str, str]] = None) -> None:
        self.entries, self.rules, self.renamed = dict(entries), tuple(rules), dict(renamed or {})

    def check(self, owner: str, given: Optional[Mapping]) -> None:
        """Refuse unknown, missing and wrong settings.

        Args:
            owner (str): What has the settings, such as ``'test_cfg of CAMClassifier'``.
            given (Mapping, optional): The settings. None is allowed: a model that is built for inference only may have
                no ``train_cfg``.

        Raises:
            UserError: A key is unknown (the message names the most similar one), a value is not allowed, or a setting
                is missing.
        """
        if given is None:
            return
        if not isinstance(given, Mapping):
            raise UserError(f'{owner} must be a dictionary, got {given!r}')
        refuse_old_keys(owner, given, self.renamed)
        for key, value in given.items():
            if key not in self.entries:
                known = ', '.join(self.entries) or 'no keys'
                raise UserError(f'{owner} has the unknown key {key!r}{closest(key, self.entries)}; it takes {known}')
            self.entries[key].check(owner, key, value)
        missing = [key for key, setting in self.entries.items() if setting.required and key not in given]
        if missing:
            raise UserError(f'{owner} lacks {", ".join(missing)}')
        for problem in filter(None, (rule(given) for rule in self.rules)):
            raise UserError(f'{owner}: {problem}')


def number(low: float = -math.inf, high: float = math.inf, whole: bool = False, above: bool = False,
           none: bool = False, required: bool = False) -> Setting:
    """Return the setting of a number.

    Args:
        low (float): The least value.
        high (float): The largest value.
        whole (bool): Whether only integers are allowed.
        above (bool): Whether the value must be larger than ``low``.
        none (bool): Whether None is allowed, too.
        required (bool): Whether the setting must be given.
    """
    wanted = ('an integer' if whole else 'a number') + _range_text(low, high, above) + (' or None' if none else '')

    def accepts(value: Any) -> bool:
        return (none and value is None) or _is_number(value, low, high, whole, above)

    return Setting(wanted, accepts, required)


def numbers(low: float = -math.inf, whole: bool = False, above: bool = False, count: Optional[int] = None,
            none: bool = False, required: bool = False) -> Setting:
    """Return the setting of a list of numbers; see :func:`number`.

    Args:
        low (float): The least value of an entry.
        whole (bool): Whether only integers are allowed.
        above (bool): Whether the entries must be larger than ``low``.
        count (int, optional): Number of entries. By default 1 or more.
        none (bool): Whether None is allowed, too.
        required (bool): Whether the setting must be given.
    """
    kind = 'integers' if whole else 'numbers'
    wanted = f'{count or "one or more"} {kind}{_range_text(low, math.inf, above)} in a list'

    def accepts(value: Any) -> bool:
        return (none and value is None) or (
            _is_list(value, count) and all(_is_number(entry, low, math.inf, whole, above) for entry in value))

    return Setting(wanted + (' or None' if none else ''), accepts, required)


def choice(*values: Any) -> Setting:
    """Return the setting that is one of some values."""
    wanted = ' or '.join(filter(None, [', '.join(map(repr, values[:-1])), repr(values[-1])]))
    return Setting(wanted, lambda value: isinstance(value, str) and value in values)


def flag() -> Setting:
    """Return the setting of a boolean."""
    return Setting('True or False', lambda value: isinstance(value, bool))


def names() -> Setting:
    """Return the setting of a list of texts, which may be empty."""
    return Setting('a list of names', lambda value: isinstance(value, (list, tuple)) and all(
        isinstance(entry, str) for entry in value))


def one_of_kinds(wanted: str, *kinds: type, known: Collection[str] = ()) -> Setting:
    """Return the setting of a value of some classes.

    Args:
        wanted (str): See :class:`Setting`.
        *kinds (type): Allowed classes.
        known (Collection[str]): If given, a text must be one of these.
    """
    return Setting(wanted, lambda value: isinstance(value, kinds) and not (
        known and isinstance(value, str) and value not in known))


def anything() -> Setting:
    """Return the setting that is checked elsewhere."""
    return Setting('anything', lambda value: True)


def nested(table: SettingsTable, none: bool = False, required: bool = False) -> Setting:
    """Return the setting of a dictionary whose entries are in a table."""
    return Setting('a dictionary' + (' or None' if none else ''),
                   lambda value: isinstance(value, Mapping) or (none and value is None), required, table)


def each(table: SettingsTable, required: bool = False) -> Setting:
    """Return the setting of a list of dictionaries whose entries are in a table."""
    return Setting('a list of dictionaries', lambda value: isinstance(value, (list, tuple)) and all(
        isinstance(entry, Mapping) for entry in value), required, table)


def in_order(first: str, second: str) -> Rule:
    """Return the rule that one setting is not above another."""

    def rule(given: Mapping) -> Optional[str]:
        low, high = given.get(first), given.get(second)
        if low is None or high is None or low <= high:
            return None
        return f'{first} ({low}) must not be above {second} ({high})'

    return rule


def _is_number(value: Any, low: float, high: float, whole: bool, above: bool) -> bool:
    """Return whether a value is a number in a range; booleans and NaN are not."""
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        return False
    number: Any = value
    return low <= number <= high and not (above and number == low) and math.isfinite(number)


def _is_list(value: Any, count: Optional[int]) -> bool:
    return isinstance(value, (list, tuple)) and (len(value) == count if count else len(value) > 0)


def _range_text(low: float, high: float, above: bool) -> str:
    if high < math.inf:
        return f' from {low:g} to {high:g}'
    if above:
        return f' above {low:g}'
    return '' if low == -math.inf else f' of {low:g} or more'
