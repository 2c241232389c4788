# The second stage on DINOv2's ViT-S.
_base_ = ['./weaktr-retrain_deit-s_voc.py', '../_base_/models/dinov2-s_official.py']
model = dict(backbone=_base_.dinov2_s_changes)
