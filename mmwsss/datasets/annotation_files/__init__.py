"""Annotation files of other programs: label maps are written to them and read from them."""

from .base import IGNORE_INDEX, IGNORED, ClassTable, ExportOptions, LabeledImage
from .coco_file import read_coco, write_coco
from .cvat import read_cvat, write_cvat
from .geojson import read_geojson, write_geojson
from .label_studio import decode_brush, read_label_studio, write_label_studio
from .labelme import read_labelme, write_labelme
from .npz_file import write_npz
from .yolo_seg import write_yolo_seg

__all__ = [
    'IGNORED', 'IGNORE_INDEX', 'ClassTable', 'ExportOptions', 'FILE_FORMATS', 'LabeledImage', 'READERS', 'WRITERS',
    'decode_brush', 'read_coco', 'read_cvat', 'read_geojson', 'read_label_studio', 'read_labelme', 'write_coco',
    'write_cvat', 'write_geojson', 'write_label_studio', 'write_labelme', 'write_npz', 'write_yolo_seg'
]

WRITERS = {
    'coco': write_coco, 'yolo-seg': write_yolo_seg, 'labelme': write_labelme, 'label-studio': write_label_studio,
    'cvat': write_cvat, 'geojson': write_geojson, 'npz': write_npz
}
"""dict[str, Callable]: Writers by format. They take images, classes, the file or folder to write, and options."""

READERS = {
    'coco': read_coco, 'labelme': read_labelme, 'label-studio': read_label_studio, 'cvat': read_cvat,
    'geojson': read_geojson
}
"""dict[str, Callable]: Readers by format. They take a path and classes and yield image ids and label maps."""

FILE_FORMATS = {'coco': '.json', 'cvat': '.xml', 'npz': '.npz'}
"""dict[str, str]: Formats of a single file, and its suffix; all others are folders."""
