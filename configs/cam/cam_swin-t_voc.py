# Plain CAM on mmpretrain's Swin-T, VOC 2012.
_base_ = './cam_resnet50_voc.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.SwinTransformer',
        arch='tiny',
        drop_path_rate=0.2,
        pad_small_map=True,  # maps smaller than a window, in views of half size
        # ImageNet-1k; sha256 begins with the last part of the name.
        init_cfg=dict(
            type='Pretrained',
            prefix='backbone.',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/swin-transformer/'
            'swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6.pth')),
    cam_head=dict(in_channels=768))
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=6e-5, weight_decay=0.01))
