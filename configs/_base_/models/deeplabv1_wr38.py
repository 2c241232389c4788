# DeepLab-V1 with a large field of view on Wide-ResNet-38, as MCTformer's code builds it. For VOC's classes.
data_preprocessor = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    size=(321, 321))
model = dict(
    _scope_='mmwsss',
    type='EncoderDecoder',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='WideResNet38',
        # The file of PSA, trained to classify VOC. configs/deeplab/README.md says where to download it.
        init_cfg=dict(type='Pretrained', checkpoint='resnet38+pretrained/res38_cls.pth')),
    decode_head=dict(
        type='DeepLabV1Head',
        in_channels=4096,
        channels=512,
        dilation=12,
        num_classes=21,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
# `tools/test.py --tta`: the maximum of the probabilities of all classes over five scales, then a dense CRF.
tta_model = dict(
    type='MultiScaleTTA',
    scales=(0.5, 0.75, 1.0, 1.25, 1.5),
    flip=False,
    scale_fusion='max',
    probabilities=True,
    view_resize=dict(mode='bilinear', align_corners=True),
    steps=[dict(type='DenseCRF', preset='mctformer_seg')])
tta_evaluator = [dict(type='CheckedIoUMetric', iou_metrics=['mIoU'], prefix='seg')]
