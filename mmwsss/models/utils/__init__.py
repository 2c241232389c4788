"""Pure functions on tensors that the modules are made of."""

from .affinity import refine_with_affinity, token_affinity_labels
from .attention_sums import AttentionSums
from .cam import IGNORE_INDEX, cams_to_labels, cams_to_roi, mask_outside_boxes, normalize_cams
from .head_weights import WeightedAttention, at_least_single, pool_attention, pool_pseudo_heads, stack_heads
from .local_crops import crop_windows, sample_local_windows
from .permutohedral import PermutohedralLattice
from .pseudo_labels import quantize_colors, refined_pseudo_labels
from .reduction import global_divisor
from .views import fuse_views, resize_maps, resize_photos, view_sizes, without_padding

__all__ = [
    'AttentionSums', 'IGNORE_INDEX', 'PermutohedralLattice', 'WeightedAttention', 'at_least_single', 'pool_attention',
    'pool_pseudo_heads', 'stack_heads', 'cams_to_labels', 'cams_to_roi', 'crop_windows',
    'fuse_views', 'global_divisor', 'mask_outside_boxes', 'normalize_cams', 'quantize_colors', 'refine_with_affinity',
    'refined_pseudo_labels', 'resize_maps', 'resize_photos', 'sample_local_windows', 'token_affinity_labels',
    'view_sizes', 'without_padding'
]
