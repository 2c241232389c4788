# ToCo, Tables 1 and 2 and Figures 8 and 9: backbones, with and without the contrasts. Published on VOC val.
#   python tools/sweep.py configs/toco/sweep_backbones.py
_base_ = '../_base_/recipes/toco_sweep.py'
title = 'ToCo: backbones'
runs = [
    dict(name='DeiT-B', published={'cam/mIoU': 70.5, 'seg/mIoU': 68.1}),
    dict(name='ViT-B', config='configs/toco/toco_vit-b_voc.py', published={'cam/mIoU': 72.3}),
    dict(name='ViT-S', config='configs/toco/toco_vit-s_voc.py', published={'cam/mIoU': 68.2, 'seg/mIoU': 65.2}),
    dict(name='ViT-L', config='configs/toco/toco_vit-l_voc.py', published={'cam/mIoU': 72.6, 'seg/mIoU': 71.2}),
    dict(name='ViT-S without', config='configs/toco/toco_vit-s_voc.py', published={'cam/mIoU': 27.6},
         cfg_options={'model.train_cfg.loss_weights.ptc': 0, 'model.train_cfg.loss_weights.ctc': 0,
                      'model.train_cfg.loss_weights.seg': 0, 'model.train_cfg.loss_weights.reg': 0}),
    dict(name='ViT-L without', config='configs/toco/toco_vit-l_voc.py', published={'cam/mIoU': 25.6},
         cfg_options={'model.train_cfg.loss_weights.ptc': 0, 'model.train_cfg.loss_weights.ctc': 0,
                      'model.train_cfg.loss_weights.seg': 0, 'model.train_cfg.loss_weights.reg': 0}),
]
