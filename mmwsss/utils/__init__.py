"""Small helpers shared by the package and the tools."""

from .files import atomic_path, file_hash, missing_files, write_json, write_lines
from .ids import IMAGE_SUFFIXES, check_image_id, image_id_of
from .images import MASK_MODES, image_size, mask_size, read_photo, require_mask_mode, why_unreadable
from .messages import closest, first_few, refuse_old_keys
from .outputs import (
                      OutputError,
                      add_to_seal,
                      check_new_file,
                      check_output,
                      claim_folder,
                      path_inside,
                      seal_folder,
                      staged_folder,
)
from .text_files import parse_json, read_json, read_text

__all__ = [
    'IMAGE_SUFFIXES', 'MASK_MODES', 'OutputError', 'add_to_seal', 'atomic_path', 'check_image_id', 'check_new_file',
    'check_output', 'claim_folder', 'closest', 'file_hash', 'first_few', 'image_id_of', 'image_size', 'mask_size',
    'missing_files', 'parse_json', 'path_inside', 'read_json', 'read_photo', 'read_text', 'refuse_old_keys',
    'require_mask_mode', 'seal_folder', 'staged_folder', 'why_unreadable', 'write_json', 'write_lines'
]
