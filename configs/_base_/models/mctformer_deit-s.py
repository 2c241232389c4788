# MCTformer (CVPR 2022) on DeiT-S/16, version 2: one class token per class, a 3x3 classifier on the patch tokens.
# The number of classes is VOC's.
data_preprocessor = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    size=(224, 224))
model = dict(
    _scope_='mmwsss',
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
        # ImageNet-1k, not distilled; the file name ends with the start of its SHA-256. All class tokens start as
        # copies of its class token.
        init_cfg=dict(
            type='Pretrained',
            checkpoint='timm+https://dl.fbaipublicfiles.com/deit/deit_small_patch16_224-cd65a155.pth')),
    cam_head=dict(type='MCTformerHead', num_classes=20, in_channels=384),
    # Images keep their size. The CAMs of an image and its mirror image are summed and then min-max normalized. The
    # published threshold is the best one on the masks. This is a fixed one.
    test_cfg=dict(
        threshold=0.4,
        cams=dict(
            scales=(1.0, ), rounding='nearest', flip=True, flip_fusion='sum', scale_fusion='sum', normalize='minmax',
            eps=1e-8)))
