# ToCo, Table 7c: weights of the losses, one at a time. Published: segmentation on VOC val.
#   python tools/sweep.py configs/toco/sweep_table7c.py
_base_ = '../_base_/recipes/toco_sweep.py'
title = 'ToCo, Table 7c: loss weights'
default = {'model.train_cfg.loss_weights.ptc': 0.2, 'model.train_cfg.loss_weights.ctc': 0.5,
           'model.train_cfg.loss_weights.seg': 0.1}
runs = [
    dict(name='ptc=0.05', cfg_options={'model.train_cfg.loss_weights.ptc': 0.05}, published={'seg/mIoU': 64.2}),
    dict(name='ptc=0.1', cfg_options={'model.train_cfg.loss_weights.ptc': 0.1}, published={'seg/mIoU': 67.0}),
    dict(name='ptc=0.2', cfg_options={'model.train_cfg.loss_weights.ptc': 0.2}, published={'seg/mIoU': 68.1}),
    dict(name='ptc=0.5', cfg_options={'model.train_cfg.loss_weights.ptc': 0.5}, published={'seg/mIoU': 65.4}),
    dict(name='ctc=0.1', cfg_options={'model.train_cfg.loss_weights.ctc': 0.1}, published={'seg/mIoU': 65.1}),
    dict(name='ctc=0.2', cfg_options={'model.train_cfg.loss_weights.ctc': 0.2}, published={'seg/mIoU': 65.9}),
    dict(name='ctc=0.5', cfg_options={'model.train_cfg.loss_weights.ctc': 0.5}, published={'seg/mIoU': 68.1}),
    dict(name='ctc=0.8', cfg_options={'model.train_cfg.loss_weights.ctc': 0.8}, published={'seg/mIoU': 67.1}),
    dict(name='seg=0.05', cfg_options={'model.train_cfg.loss_weights.seg': 0.05}, published={'seg/mIoU': 67.8}),
    dict(name='seg=0.1', cfg_options={'model.train_cfg.loss_weights.seg': 0.1}, published={'seg/mIoU': 68.1}),
    dict(name='seg=0.2', cfg_options={'model.train_cfg.loss_weights.seg': 0.2}, published={'seg/mIoU': 67.6}),
    dict(name='seg=0.5', cfg_options={'model.train_cfg.loss_weights.seg': 0.5}, published={'seg/mIoU': 66.0}),
]
