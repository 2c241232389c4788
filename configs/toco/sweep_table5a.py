# ToCo, Table 5a: block of the auxiliary classifier, 8 to 11 of 12. Published on VOC val.
#   python tools/sweep.py configs/toco/sweep_table5a.py
_base_ = '../_base_/recipes/toco_sweep.py'
title = 'ToCo, Table 5a: auxiliary block'
grid = {'model.cam_head.aux_layer': [-5, -4, -3, -2]}
default = {'model.cam_head.aux_layer': -3}
published = {'cam/mIoU': [63.5, 67.6, 70.5, 43.1], 'cam/aux_mIoU': [48.1, 55.1, 62.5, 45.2],
             'seg/mIoU': [60.5, 64.8, 68.1, 40.3]}
