# Plain CAM on mmpretrain's ViT-B/16, VOC 2012. On AttentionViT, which any head can use, it gives the same maps.
_base_ = './cam_resnet50_voc.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.VisionTransformer',
        arch='base',
        img_size=384,
        patch_size=16,
        out_type='featmap',
        # ImageNet-21k, fine-tuned on ImageNet-1k; sha256 begins with the last part of the name.
        init_cfg=dict(
            type='Pretrained',
            prefix='backbone.',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vit/finetune/'
            'vit-base-p16_in21k-pre-3rdparty_ft-64xb64_in1k-384_20210928-98e8652b.pth')),
    cam_head=dict(in_channels=768))
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=6e-5, weight_decay=0.01))
