"""Pure functions on tensors."""

from .affinity import refine_with_affinity, token_affinity_labels
from .affinity_pairs import (
    PairLabels,
    dense_affinity,
    pair_affinity,
    pair_indices,
    pair_labels,
    pair_offsets,
    sparse_affinity,
)
from .batch import present_classes, valid_boxes
from .cam import (
    IGNORE_INDEX,
    cams_to_labels,
    cams_to_roi,
    global_weighted_rank_pool,
    mask_outside_boxes,
    normalize_cams,
    quantize_colors,
)
from .export import is_recording
from .factor_resize import resize_by_factor
from .head_weights import at_least_single, pool_attention, pool_pseudo_heads, single_dtype, stack_heads
from .local_crops import crop_windows, sample_local_windows
from .permutohedral import PermutohedralLattice
from .precision import lower_precision, uses_lower_precision
from .random_walk import MAX_LOG2_STEPS, random_walk
from .reactivation import entropy_weights, layer_entropies, reactivated_cams, reactivation_weights
from .reduction import (
    check_group_size,
    global_divisor,
    mean_of_groups,
    number_of_groups,
    spread_groups,
    sum_groups,
)
from .views import fuse_views, pad_to_multiple, resize_maps, resize_photos, view_sizes, without_padding

__all__ = [
    'IGNORE_INDEX', 'MAX_LOG2_STEPS', 'PairLabels', 'PermutohedralLattice', 'at_least_single', 'cams_to_labels',
    'cams_to_roi', 'check_group_size', 'crop_windows', 'dense_affinity', 'entropy_weights', 'fuse_views',
    'global_divisor', 'global_weighted_rank_pool', 'is_recording', 'layer_entropies', 'lower_precision',
    'mask_outside_boxes', 'mean_of_groups', 'normalize_cams', 'number_of_groups', 'pad_to_multiple',
    'pair_affinity', 'pair_indices', 'pair_labels', 'pair_offsets', 'pool_attention', 'pool_pseudo_heads',
    'present_classes', 'quantize_colors', 'random_walk', 'reactivated_cams', 'reactivation_weights',
    'refine_with_affinity', 'resize_by_factor', 'resize_maps', 'resize_photos', 'sample_local_windows',
    'single_dtype', 'sparse_affinity', 'spread_groups', 'stack_heads', 'sum_groups', 'token_affinity_labels',
    'uses_lower_precision', 'valid_boxes', 'view_sizes', 'without_padding'
]
