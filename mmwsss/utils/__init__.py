"""Small helpers shared by the package and the tools."""

from .files import atomic_path, missing_files, write_json, write_lines
from .messages import closest, first_few, refuse_old_keys

__all__ = ['atomic_path', 'closest', 'first_few', 'missing_files', 'refuse_old_keys', 'write_json', 'write_lines']
