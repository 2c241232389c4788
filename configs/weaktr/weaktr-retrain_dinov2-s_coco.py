# The second stage on COCO 2014 on DINOv2's ViT-S.
_base_ = ['./weaktr-retrain_deit-s_coco.py', '../_base_/models/dinov2-s_official.py']
model = dict(backbone=_base_.dinov2_s_changes)
