# AReAM on Conformer-S as its code was released with arXiv version 1: TransCAM's network with a 1x1 convolution instead
# of 3x3, no background channel and a loss of each branch. Blocks 1 to 9 refine, 10 to 12 are supervised.
_base_ = ['./transcam_conformer-s.py', './reactivation.py']
model = dict(
    data_preprocessor=dict(size=(384, 384)),
    backbone=dict(double_class_token=False),
    cam_head=dict(background_channel=False, kernel_size=1, trained='branches'),
    # Negative values are kept until the views are fused. With entropy_mode='offline' and counterparts=[...] (one number
    # a block) weights are those of the data set.
    auxiliary=dict(
        reactivation=dict(
            _base_.reactivation,
            map_name='conv_cams',
            weight=0.1,
            begin=2,
            low=0.35,
            high=0.55,
            scales=(0.5, 1.0, 1.5),
            layer_split=9,
            entropy_mode='uniform',
            rectify=False,
            normalize_cam=False,
            cam_pass='train',
            loss=dict(type='AffinityLoss', pair_weight=0.5, layer_reduction='mean', scope='batch'))),
    test_cfg=dict(
        cams=dict(
            _delete_=True,
            scales=(0.5, 1.0, 1.5),
            pad_divisor=16,
            mirror_padded=True,
            interpolation='bicubic',
            flip=True,
            flip_fusion='sum',
            scale_fusion='sum',
            relu=False,
            normalize='relu_minmax',
            eps=1e-6),
        threshold=0.4,
        pseudo_label_crf='mctformer_cam'))
