# The second stage on COCO 2014 on DINOv2's ViT-S, whose patches of 14 x 14 pixels become 16 x 16.
_base_ = './weaktr-retrain_deit-s_coco.py'
model = dict(
    backbone=dict(
        arch='dinov2-s',
        layer_scale_init_value=1.0,
        resize_patch_embed=True,
        init_cfg=dict(
            checkpoint='auto+https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth')))
