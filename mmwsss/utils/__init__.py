"""Small helpers shared by the package and the tools."""

from .files import atomic_path, write_json, write_lines

__all__ = ['atomic_path', 'write_json', 'write_lines']
