# ToCo, Table 5b: size of the local views. Published on VOC val.
#   python tools/sweep.py configs/toco/sweep_table5b.py
_base_ = '../_base_/recipes/toco_sweep.py'
title = 'ToCo, Table 5b: size of local views'
grid = {'model.train_cfg.local_crop_size': [64, 80, 96, 112]}
default = {'model.train_cfg.local_crop_size': 96}
published = {'cam/mIoU': [68.1, 69.3, 70.5, 69.4], 'seg/mIoU': [65.5, 67.3, 68.1, 67.0]}
