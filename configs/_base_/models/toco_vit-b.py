# ToCo (CVPR 2023) on ViT-B/16. VOC's numbers; datasets change num_classes, thresholds and phases.
data_preprocessor = dict(
    type='MultiViewPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    size=(448, 448))
# Published with 2 images per GPU. Pixels and pairs are counted in groups of 2 images, however a batch is divided.
group_size = 2
cam_views = dict(
    scales=(1.0, 0.5, 1.5), rounding='down', flip=True, flip_fusion='max', scale_fusion='sum', normalize='minmax')
# Pixel-adaptive refinement (PAR, from AFA, CVPR 2022), in training and in `make_pseudo_labels.py --post par`.
par = dict(dilations=(1, 2, 4, 8, 12, 24), num_iters=10)
model = dict(
    _scope_='mmwsss',
    type='ToCo',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='AttentionViT',
        arch='deit-base',
        img_size=224,
        patch_size=16,
        freeze_pos_embed=True,
        # ImageNet-21k, fine-tuned on ImageNet-1k; sha256 begins with the last part of the name.
        init_cfg=dict(
            type='Pretrained',
            checkpoint='timm+https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-vitjx/'
            'jx_vit_base_p16_224-80ecf9dd.pth')),
    cam_head=dict(type='ToCoHead', num_classes=20, in_channels=768, aux_layer=-3),
    decode_head=dict(
        type='LargeFOVHead',
        in_channels=768,
        channels=512,
        dilation=5,
        num_classes=21,
        loss_decode=dict(type='BalancedCrossEntropyLoss', group_size=group_size)),
    projector=dict(
        type='ProjectionHead', in_channels=768, hidden_channels=2048, bottleneck_channels=256, out_channels=1024),
    # Pseudo labels of the decoder (Sec. 4.4): the background scores are low and high of train_cfg; at half size.
    label_cfg=dict(
        steps=[
            dict(type='Downscale', factor=2),
            dict(type='ConstantBackground'),
            dict(type='Softmax'),
            dict(type='PixelAdaptiveRefinement', **par)
        ],
        labeler=dict(type='MergeLevels')),
    loss_ptc=dict(type='PatchTokenContrastLoss', similarity='abs', group_size=group_size),
    loss_ctc=dict(type='ClassTokenContrastLoss', temperature=0.5),
    loss_reg=dict(type='DenseEnergyLoss', weight=1e-7, sigma_rgb=15, sigma_xy=100, scale_factor=0.5),
    train_cfg=dict(
        cams=cam_views,
        low=0.25,
        high=0.7,
        ema_momentum=0.9,
        num_local_crops=8,
        local_crop_size=96,
        local_min_foreground=0.2,
        ptc_box='reference',
        final_cam_begin=0,
        loss_weights=dict(cls=1.0, aux=1.0, ptc=0.2, ctc=0.5, seg=0.1, reg=0.05),
        phases=[dict(begin=0, off=('seg', 'reg')), dict(begin=2001)]),
    test_cfg=dict(mode='whole', cams=cam_views, threshold=0.5, pseudo_label_par=par))
# `tools/test.py --tta`: logits of three scales and their mirror images, then dense CRF.
tta_model = dict(
    type='MultiScaleTTA',
    scales=(1.0, 1.5, 1.25),
    flip=True,
    flip_fusion='sum',
    scale_fusion='max',
    steps=[dict(type='DenseCRF', preset='toco_seg')])
tta_evaluator = [dict(type='CheckedIoUMetric', iou_metrics=['mIoU'], prefix='seg')]
