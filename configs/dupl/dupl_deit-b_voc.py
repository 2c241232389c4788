# DuPL, DeiT-B (ImageNet-1k), VOC 2012 from image-level labels. Published with 2 GPUs of 2 images.
_base_ = './dupl_vit-b_voc.py'
model = dict(
    backbone=dict(
        init_cfg=dict(checkpoint='timm+https://dl.fbaipublicfiles.com/deit/deit_base_patch16_224-b5f2ef4d.pth')))
