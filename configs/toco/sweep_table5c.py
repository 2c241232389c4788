# ToCo, Table 5c: momentum of the teacher projector. Published on VOC val.
#   python tools/sweep.py configs/toco/sweep_table5c.py
_base_ = '../_base_/recipes/toco_sweep.py'
title = 'ToCo, Table 5c: momentum'
grid = {'model.train_cfg.ema_momentum': [0.0, 0.1, 0.9, 0.99]}
default = {'model.train_cfg.ema_momentum': 0.9}
published = {'cam/mIoU': [69.2, 69.0, 70.5, 68.7], 'seg/mIoU': [66.9, 67.1, 68.1, 66.6]}
