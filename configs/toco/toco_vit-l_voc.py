# ViT-L/16 (paper, Fig. 8 and 9), ImageNet-21k, fine-tuned on ImageNet-1k.
_base_ = './toco_vit-b_voc.py'
model = dict(
    backbone=dict(
        arch='large',
        init_cfg=dict(
            checkpoint='timm+https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-vitjx/'
            'jx_vit_large_p16_224-4ee7a4dc.pth')),
    cam_head=dict(in_channels=1024),
    decode_head=dict(in_channels=1024),
    projector=dict(in_channels=1024))
