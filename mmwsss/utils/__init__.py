"""Small helpers shared by the package and the tools."""

from .files import atomic_path, missing_files, write_json, write_lines
from .hashing import weights_hash
from .messages import closest, first_few
from .outputs import OutputError, check_output, claim_folder, path_inside, seal_folder

__all__ = [
    'OutputError', 'atomic_path', 'check_output', 'claim_folder', 'closest', 'first_few', 'missing_files',
    'path_inside', 'seal_folder', 'weights_hash', 'write_json', 'write_lines'
]
