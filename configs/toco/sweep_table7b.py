# ToCo, Table 7b: temperature of the contrast of class tokens. Published: segmentation on VOC val.
#   python tools/sweep.py configs/toco/sweep_table7b.py
_base_ = '../_base_/recipes/toco_sweep.py'
title = 'ToCo, Table 7b: temperature'
grid = {'model.loss_ctc.temperature': [0.1, 0.2, 0.5, 0.8]}
default = {'model.loss_ctc.temperature': 0.5}
published = {'seg/mIoU': [66.0, 67.2, 68.1, 67.3]}
