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
    _scope_='mmwsss',
    type='AffinityNet',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='WideResNet38',
        frozen_stages=2,
        # The file of PSA, trained to classify VOC. configs/deeplab/README.md says where to download it.
        init_cfg=dict(type='Pretrained', checkpoint='resnet38+pretrained/res38_cls.pth')),
    affinity_head=dict(type='AffinityHead', in_channels=(512, 1024, 4096), channels=(64, 128, 256)),
    loss_affinity=dict(type='PairAffinityLoss'),
    radius=5,
    # threshold is the constant score of the background. Choose the value at which the CAMs have the best mIoU.
    test_cfg=dict(beta=8, log2_steps=6, threshold=0.39))
