# Plain class activation maps (CAM, CVPR 2016) on mmpretrain's ResNet-50, whose last stage keeps the stride at 16.
data_preprocessor = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    size=(512, 512))
model = dict(
    _scope_='mmwsss',
    type='CAMClassifier',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='mmpretrain.ResNet',
        depth=50,
        strides=(1, 2, 2, 1),
        # The stem and the first two stages stay as they are, and so do the statistics of batch norm.
        frozen_stages=2,
        norm_eval=True,
        # ImageNet-1k; the file name ends with the start of its SHA-256.
        init_cfg=dict(
            type='Pretrained',
            prefix='backbone.',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
            'resnet50_8xb32_in1k_20210831-ea4938fc.pth')),
    cam_head=dict(type='CAMHead', num_classes=20, in_channels=2048, pool='avg'),
    loss_cls=dict(type='MultiLabelSoftMarginLoss'),
    # CAMs after ReLU of four scales and their mirror images are summed and divided by their maximum. The published
    # threshold is the best one on the masks. This is a fixed one.
    test_cfg=dict(
        threshold=0.4,
        cams=dict(
            scales=(1.0, 0.5, 1.5, 2.0), flip=True, flip_fusion='sum', scale_fusion='sum', normalize='max', eps=1e-5)))
