# PSA's augmentation: color jitter, a crop on a black canvas, and a horizontal flip, without resizing.
crop_size = 448
psa_color_jitter = dict(type='mmpretrain.ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
# The padding has scores of 0 and is ignored.
psa_crop = dict(type='RandomPlaceCrop', crop_size=crop_size, seg_pad_value=0)
psa_flip = dict(type='RandomFlip', prob=0.5)
# Labels from class scores with a strong and with a weak background: make_pseudo_labels.py --crf-alphas 1 12.
psa_load_scores = dict(type='LoadAffinityScores', folders=('crf_1', 'crf_12'))
psa_pool_labels = dict(type='PoolAffinityLabels', stride=8)
psa_scores_pipeline = [
    dict(type='LoadImageFromFile'),
    psa_load_scores, psa_color_jitter, psa_crop, psa_flip,
    psa_pool_labels,
    dict(type='PackWSSSInputs')
]
# Labels from label maps, in which pixels between two background scores are 255: make_pseudo_labels.py --high.
# TransCAM's code treats the padding as background.
psa_labels_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'), psa_color_jitter, psa_crop, psa_flip,
    dict(type='StrideLabels', stride=8),
    dict(type='PackWSSSInputs')
]
