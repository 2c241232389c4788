"""What other programs call: models, class activation maps of images, pseudo labels of data sets."""

from mmwsss.checkpoints import checkpoint_hash, load_weights, read_checkpoint, weights_hash

from .configs import config_hash, inference_pipeline, labelled_images
from .inference import cams_at_image_size, inference_cams, init_model
from .label_settings import LabelSettings
from .label_summary import LabelSummary
from .labelling import PseudoLabelError
from .pseudo_labels import make_pseudo_labels
from .saved_maps import SavedMaps

__all__ = [
    'LabelSettings', 'LabelSummary', 'PseudoLabelError', 'SavedMaps', 'cams_at_image_size', 'checkpoint_hash',
    'config_hash', 'inference_cams', 'inference_pipeline', 'init_model', 'labelled_images', 'load_weights',
    'make_pseudo_labels', 'read_checkpoint', 'weights_hash'
]
