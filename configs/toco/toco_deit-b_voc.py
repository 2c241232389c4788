# The paper's plain "ViT-B": DeiT-B, ImageNet-1k. Its ablations (Tables 4 to 7) are on this one.
_base_ = './toco_vit-b_voc.py'
model = dict(
    backbone=dict(
        init_cfg=dict(checkpoint='timm+https://dl.fbaipublicfiles.com/deit/deit_base_patch16_224-b5f2ef4d.pth')))
