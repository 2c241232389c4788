"""What other programs call: models, class activation maps of images, pseudo labels of data sets."""

from .checkpoints import checkpoint_hash, load_weights, read_checkpoint
from .configs import inference_pipeline
from .inference import cams_at_image_size, inference_cams, init_model

__all__ = [
    'cams_at_image_size', 'checkpoint_hash', 'inference_cams', 'inference_pipeline', 'init_model',
    'load_weights', 'read_checkpoint'
]
