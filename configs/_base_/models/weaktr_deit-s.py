# WeakTr's first stage on DeiT-S/16, the paper's version: MCTformer's network whose attention maps are fused with a
# weight for each. VOC's number of classes; a class's token, its position and its score exist once per class.
data_preprocessor = dict(
    type='MultiViewPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    size=(224, 224))
model = dict(
    type='CAMClassifier',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='AttentionViT',
        arch='deit-small',
        img_size=224,
        patch_size=16,
        num_class_tokens=20,
        pos_embed_grid='scale',
        raw_output=True,
        drop_path_rate=0.1,
        # ImageNet-1k, not distilled; sha256 begins with the last part of the name. All class tokens start as copies of
        # its one token.
        init_cfg=dict(
            type='Pretrained',
            checkpoint='timm+https://dl.fbaipublicfiles.com/deit/deit_small_patch16_224-cd65a155.pth')),
    cam_head=dict(
        type='WeakTrHead',
        num_classes=20,
        in_channels=384,
        num_layers=12,
        num_heads=6,
        pool_source='attention',
        pool='avg',
        reduction=4),
    # Images keep their size; everything is summed, one min-max at the end.
    test_cfg=dict(
        threshold=0.42,
        pseudo_label_crf='weaktr_label_voc',
        cams=dict(
            scales=(1.0, 0.8, 1.2),
            interpolation='bicubic',
            flip=True,
            flip_fusion='sum',
            scale_fusion='sum',
            normalize='minmax',
            eps=1e-8)))
