"""What other programs call: models, class activation maps of images, pseudo labels of data sets."""

from .checkpoints import checkpoint_hash, load_weights, read_checkpoint
from .configs import inference_pipeline, labelled_images
from .inference import cams_at_image_size, inference_cams, init_model
from .labelling import LabelSettings
from .pseudo_labels import LabelSummary, make_pseudo_labels

__all__ = [
    'LabelSettings', 'LabelSummary', 'cams_at_image_size', 'checkpoint_hash', 'inference_cams',
    'inference_pipeline', 'init_model', 'labelled_images', 'load_weights', 'make_pseudo_labels',
    'read_checkpoint'
]
