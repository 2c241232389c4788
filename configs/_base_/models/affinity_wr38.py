# AffinityNet on Wide-ResNet-38, 106,484,032 parameters, with the random walk of MCTformer's code.
data_preprocessor = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    size=(448, 448))
model = dict(
    type='AffinityNet',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='WideResNet38',
        frozen_stages=2,
        # PSA's file, trained to classify VOC. Where to get it: configs/deeplab/README.md.
        init_cfg=dict(type='Pretrained', checkpoint='resnet38+pretrained/res38_cls.pth')),
    affinity_head=dict(type='AffinityHead', in_channels=(512, 1024, 4096), channels=(64, 128, 256)),
    loss_affinity=dict(type='PairAffinityLoss'),
    radius=5,
    # threshold is the score of a constant background plane: take that at which the maps do best.
    test_cfg=dict(beta=8, log2_steps=6, threshold=0.39))
