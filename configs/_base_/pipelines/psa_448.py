# PSA's augmentation: colours, a crop on a black canvas, a mirror image; no change of size.
crop_size = 448
_colours = dict(type='mmpretrain.ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
# Scores of 0 are padding, which is ignored.
_crop = dict(type='RandomPlaceCrop', crop_size=crop_size, seg_pad_value=0)
_flip = dict(type='RandomFlip', prob=0.5)
# Labels from class scores beside a strong and beside a weak background: make_pseudo_labels.py --crf-alphas 1 12.
psa_scores_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAffinityScores', folders=('crf_1', 'crf_12')), _colours, _crop, _flip,
    dict(type='PoolAffinityLabels', stride=8),
    dict(type='PackWSSSInputs')
]
# Labels from label maps with 255 between two background scores: make_pseudo_labels.py --high. TransCAM's code counts
# the padding as background.
psa_labels_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'), _colours, _crop, _flip,
    dict(type='StrideLabels', stride=8),
    dict(type='PackWSSSInputs')
]
