# ToCo, Table 6: similarity in the contrast of patch tokens. Published on VOC val.
#   python tools/sweep.py configs/toco/sweep_table6.py
_base_ = '../_base_/recipes/toco_sweep.py'
title = 'ToCo, Table 6: similarity of patch tokens'
grid = {'model.loss_ptc.similarity': ['cos', 'relu', 'abs']}
default = {'model.loss_ptc.similarity': 'abs'}
published = {'cam/mIoU': [36.5, 63.0, 70.5], 'seg/mIoU': [29.6, 60.1, 68.1]}
