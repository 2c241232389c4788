# The second stage on EVA-02's ViT-S.
_base_ = ['./weaktr-retrain_deit-s_voc.py', '../_base_/models/eva02-s.py']
model = dict(data_preprocessor=_base_.eva02_s_pixels, backbone=dict(_base_.eva02_s_backbone, _delete_=True))
