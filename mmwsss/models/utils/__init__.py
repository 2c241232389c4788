"""Pure functions on tensors that the modules are made of."""

from .affinity import refine_with_affinity, token_affinity_labels
from .attention_sums import AttentionSums
from .batch import present_classes, valid_boxes
from .cam import IGNORE_INDEX, cams_to_labels, cams_to_roi, mask_outside_boxes, normalize_cams
from .head_weights import WeightedAttention, at_least_single, pool_attention, pool_pseudo_heads, stack_heads
from .local_crops import crop_windows, sample_local_windows
from .permutohedral import PermutohedralLattice
from .pseudo_labels import direct_pseudo_labels, quantize_colors, refined_maps, refined_pseudo_labels
from .reactivation import entropy_weights, layer_entropies, reactivated_cams, reactivation_weights
from .reduction import global_divisor
from .views import fuse_views, resize_maps, resize_photos, view_sizes, without_padding

__all__ = [
    'AttentionSums', 'IGNORE_INDEX', 'PermutohedralLattice', 'WeightedAttention', 'at_least_single', 'pool_attention',
    'pool_pseudo_heads', 'stack_heads', 'cams_to_labels', 'cams_to_roi', 'crop_windows',
    'direct_pseudo_labels', 'entropy_weights', 'fuse_views', 'global_divisor', 'layer_entropies',
    'mask_outside_boxes', 'normalize_cams', 'present_classes', 'quantize_colors', 'reactivated_cams',
    'reactivation_weights', 'refine_with_affinity', 'refined_maps', 'refined_pseudo_labels', 'resize_maps',
    'resize_photos', 'sample_local_windows', 'token_affinity_labels', 'valid_boxes', 'view_sizes', 'without_padding'
]
