# ToCo, Table 7a: background thresholds. Published: segmentation on VOC val.
#   python tools/sweep.py configs/toco/sweep_table7a.py
_base_ = '../_base_/recipes/toco_sweep.py'
title = 'ToCo, Table 7a: background thresholds'
grid = {'model.train_cfg.high': [0.6, 0.65, 0.7, 0.75], 'model.train_cfg.low': [0.15, 0.2, 0.25, 0.3]}
skip = [{'model.train_cfg.high': 0.6, 'model.train_cfg.low': 0.15}]
default = {'model.train_cfg.high': 0.7, 'model.train_cfg.low': 0.25}
published = {'seg/mIoU': [55.1, 62.9, 66.7, 51.2, 61.5, 67.2, 66.3, 56.2, 65.5, 68.1, 67.1, 63.0, 65.6, 66.3, 64.3]}
