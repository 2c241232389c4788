"""What the check of tags needs, apart from the check itself, whose libraries take long to import."""

import importlib.util

__all__ = ['can_check_tags']


def can_check_tags() -> bool:
    """Return whether cleanlab, which finds wrong labels, is installed."""
    return importlib.util.find_spec('cleanlab') is not None
