# WeakTr's second stage: Segmenter with a mask transformer on DeiT-S/16, as its code builds it. For VOC's classes.
crop_size = (480, 480)
data_preprocessor = dict(
    type='SegDataPreProcessor',
    mean=[123.68, 116.28, 103.53],
    std=[58.4, 57.12, 57.38],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    size=crop_size)
model = dict(
    _scope_='mmwsss',
    type='Segmenter',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='AttentionViT',
        arch='deit-small',
        img_size=480,
        patch_size=16,
        # DeiT was trained with 1e-6.
        norm_cfg=dict(type='LN', eps=1e-5),
        # The position embedding is resized from 14 x 14 to 30 x 30 once, when the weights are loaded.
        interpolate_mode='bilinear',
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='timm+https://dl.fbaipublicfiles.com/deit/deit_small_patch16_224-cd65a155.pth')),
    decode_head=dict(
        type='MaskTransformerHead',
        in_channels=384,
        channels=384,
        embed_dims=384,
        num_layers=2,
        num_heads=6,
        num_classes=21,
        align_corners=False,
        loss_decode=dict(type='GradientClippedCrossEntropyLoss', patch_size=120, start_value=1.2)),
    train_cfg=dict(),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(320, 320)))
# `tools/test.py --tta`: mean probabilities of six scales and their mirror images, then dense CRF.
tta_model = dict(
    type='MultiScaleTTA',
    views='pipeline',
    steps=[dict(type='DenseCRF', preset='weaktr_seg_voc', winners_only=True)])
tta_evaluator = [dict(type='CheckedIoUMetric', iou_metrics=['mIoU'], prefix='seg')]
