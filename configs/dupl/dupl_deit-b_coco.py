# DuPL, DeiT-B (ImageNet-1k), COCO 2014. Published with 8 GPUs of 1 image.
_base_ = './dupl_vit-b_coco.py'
model = dict(
    backbone=dict(
        init_cfg=dict(checkpoint='timm+https://dl.fbaipublicfiles.com/deit/deit_base_patch16_224-b5f2ef4d.pth')))
