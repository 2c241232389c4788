"""Small helpers shared by the package and the tools."""

from .files import atomic_path, file_hash, missing_files, write_json, write_lines
from .ids import IMAGE_SUFFIXES, check_image_id, image_id_of
from .images import MASK_MODES, image_size, mask_size, require_mask_mode, why_unreadable
from .messages import closest, first_few, refuse_old_keys
from .text_files import parse_json, read_json, read_text

__all__ = [
    'IMAGE_SUFFIXES', 'MASK_MODES', 'atomic_path', 'check_image_id', 'closest', 'file_hash', 'first_few', 'image_id_of',
    'image_size', 'mask_size', 'missing_files', 'parse_json', 'read_json', 'read_text', 'refuse_old_keys',
    'require_mask_mode', 'why_unreadable', 'write_json', 'write_lines'
]
