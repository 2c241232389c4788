# The paper's plain "ViT-B": DeiT-B, ImageNet-1k, on COCO 2014.
_base_ = './toco_vit-b_coco.py'
model = dict(
    backbone=dict(
        init_cfg=dict(checkpoint='timm+https://dl.fbaipublicfiles.com/deit/deit_base_patch16_224-b5f2ef4d.pth')))
