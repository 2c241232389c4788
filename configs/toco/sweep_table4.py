# ToCo, Table 4: which losses are used. Published: CAM, auxiliary CAM and segmentation at one scale, VOC val.
#   python tools/sweep.py configs/toco/sweep_table4.py
_base_ = '../_base_/recipes/toco_sweep.py'
title = 'ToCo, Table 4: losses'
weight = 'model.train_cfg.loss_weights.'
runs = [
    dict(name='classification', published={'cam/mIoU': 27.8},
         cfg_options={weight + 'aux': 0, weight + 'ptc': 0, weight + 'ctc': 0, weight + 'seg': 0, weight + 'reg': 0}),
    dict(name='+ auxiliary', published={'cam/mIoU': 27.9, 'cam/aux_mIoU': 53.8},
         cfg_options={weight + 'ptc': 0, weight + 'ctc': 0, weight + 'seg': 0, weight + 'reg': 0}),
    dict(name='+ PTC', published={'cam/mIoU': 62.5, 'cam/aux_mIoU': 57.8},
         cfg_options={weight + 'ctc': 0, weight + 'seg': 0, weight + 'reg': 0}),
    dict(name='+ CTC', published={'cam/mIoU': 67.2, 'cam/aux_mIoU': 60.7},
         cfg_options={weight + 'seg': 0, weight + 'reg': 0}),
    dict(name='+ segmentation', published={'cam/mIoU': 69.9, 'cam/aux_mIoU': 61.2, 'seg/mIoU': 66.6},
         cfg_options={weight + 'reg': 0}),
    dict(name='all', published={'cam/mIoU': 70.5, 'cam/aux_mIoU': 62.5, 'seg/mIoU': 68.1}),
]
del weight
