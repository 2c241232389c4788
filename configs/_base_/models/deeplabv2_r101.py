# DeepLab-V2 on ResNet-101: Caffe's strides and pooling, frozen batch norm. The number of classes is VOC's.
data_preprocessor = dict(
    type='SegDataPreProcessor',
    # As in Caffe: BGR, values from 0 to 255 minus the mean.
    mean=[104.008, 116.669, 122.675],
    std=[1., 1., 1.],
    pad_val=0,
    seg_pad_val=255,
    size=(321, 321))
model = dict(
    _scope_='mmwsss',
    type='DeepLabV2',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='CeilPoolResNet',
        depth=101,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        style='caffe',
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        # ImageNet. The usual weights for this network were trained on the masks of COCO, which a weakly supervised
        # method must not use.
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://detectron2/resnet101_caffe')),
    decode_head=dict(
        type='DeepLabV2Head',
        in_channels=2048,
        in_index=3,
        dilations=(6, 12, 18, 24),
        num_classes=21,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    # The maximum of the logits over three scales, in training and testing.
    train_cfg=dict(scales=(0.75, 0.5)),
    test_cfg=dict(mode='whole', scales=(0.75, 0.5)))
# `tools/test.py --tta`: with a dense CRF, which sees the image without its mean color, as in the published port. The
# network itself fuses its scales.
tta_model = dict(
    type='MultiScaleTTA',
    scales=(1.0, ),
    flip=False,
    steps=[dict(type='MeanSubtractedColors'), dict(type='DenseCRF', preset='deeplab_v2')])
tta_evaluator = [dict(type='CheckedIoUMetric', iou_metrics=['mIoU'], prefix='seg')]
