"""For other programs: build models, compute class activation maps, predict photographs, make pseudo labels."""

from mmwsss.checkpoints import checkpoint_hash, load_weights, read_checkpoint, weights_hash
from mmwsss.datasets import labelled_images
from mmwsss.pseudo_labels import (
    PseudoLabelError,
    PseudoLabelSummary,
    Shard,
    expand_short_forms,
    make_pseudo_labels,
    read_label_cfg,
)

from .agreement import view_agreement
from .configs import config_hash, inference_pipeline
from .inference import cams_at_image_size, inference_cams, init_model, select_classes
from .inferencer import WSSSInferencer
from .onnx_export import OnnxFile, export_onnx
from .photo_inputs import PhotoInput, find_inputs, video_frames
from .photo_labels import label_photos
from .predictions import PhotoPrediction

__all__ = [
    'OnnxFile', 'PhotoInput', 'PhotoPrediction', 'PseudoLabelError', 'PseudoLabelSummary', 'Shard',
    'WSSSInferencer', 'cams_at_image_size', 'checkpoint_hash', 'config_hash', 'expand_short_forms', 'export_onnx',
    'find_inputs', 'inference_cams', 'inference_pipeline', 'init_model', 'label_photos', 'labelled_images',
    'load_weights', 'make_pseudo_labels', 'read_checkpoint', 'read_label_cfg', 'select_classes', 'video_frames',
    'view_agreement', 'weights_hash'
]
