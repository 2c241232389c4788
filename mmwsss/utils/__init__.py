"""Small helpers shared by the package and the tools."""

from .files import atomic_path, file_hash, missing_files, write_json, write_lines
from .messages import closest, first_few

__all__ = ['atomic_path', 'closest', 'file_hash', 'first_few', 'missing_files', 'write_json', 'write_lines']
