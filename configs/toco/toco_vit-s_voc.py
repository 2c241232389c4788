# ViT-S/16 (paper, Fig. 8 and 9). The paper does not name its weights; these are DeiT-S's, ImageNet-1k.
_base_ = './toco_vit-b_voc.py'
model = dict(
    backbone=dict(
        arch='deit-small',
        init_cfg=dict(checkpoint='timm+https://dl.fbaipublicfiles.com/deit/deit_small_patch16_224-cd65a155.pth')),
    cam_head=dict(in_channels=384),
    decode_head=dict(in_channels=384),
    projector=dict(in_channels=384))
