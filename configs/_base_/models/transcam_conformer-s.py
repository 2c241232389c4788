# TransCAM (JVCIR 2023) on Conformer-S: the classifier and how its CAMs are fused.
data_preprocessor = dict(
    type='MultiViewPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    size=(512, 512))
model = dict(
    _scope_='mmwsss',
    type='CAMClassifier',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='AttentionConformer',
        arch='small',
        drop_path_rate=0.1,
        # ImageNet-1k; sha256 begins with the last part of the name.
        init_cfg=dict(
            type='Pretrained',
            prefix='backbone.',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/conformer/'
            'conformer-small-p16_3rdparty_8xb128_in1k_20211206-3065dcf5.pth')),
    cam_head=dict(
        type='TransCAMHead',
        num_classes=20,
        conv_channels=1024,
        token_channels=384,
        refinement='transcam',
        blocks='all',
        branch_weights=(1.0, 1.0)),
    test_cfg=dict(
        # Squares whatever the image's aspect. With `sizes=None`, `scales` and `divisor` say how the aspect is kept.
        cams=dict(
            sizes=((256, 256), (512, 512), (768, 768)),
            scales=(0.5, 1.0, 1.5),
            divisor=16,
            interpolation='bicubic',
            flip=True,
            flip_fusion='sum',
            scale_fusion='sum',
            relu=False,
            normalize='shifted_minmax'),
        # The background score of the published random walk; the published mIoU of the maps is the best over all scores.
        threshold=0.42,
        pseudo_label_crf='transcam_label'))
