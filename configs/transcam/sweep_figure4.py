# TransCAM, Figure 4: weights of the scores of both branches, which add up to 1. Published: a curve, flat above 0.1.
#   python tools/sweep.py configs/transcam/sweep_figure4.py
_base_ = '../_base_/recipes/voc.py'
title = 'TransCAM, Figure 4: weights of the branches'
stages = [
    dict(name='cam', kind='train', config='configs/transcam/transcam_conformer-s_voc.py'),
    dict(name='maps', kind='cam-table', checkpoint='cam', split='train', args=['--options', 'maps=conv_cams,cams']),
]
metrics = ['conv_cams cam/oracle_mIoU', 'cams cam/oracle_mIoU']
default = {'w_conv': 0.5}
runs = [
    dict(name='w_conv=0', cfg_options={'model.cam_head.branch_weights': [0, 1]},
         params={'w_conv': 0}),
    dict(name='w_conv=0.1', cfg_options={'model.cam_head.branch_weights': [0.1, 0.9]},
         params={'w_conv': 0.1}),
    dict(name='w_conv=0.2', cfg_options={'model.cam_head.branch_weights': [0.2, 0.8]},
         params={'w_conv': 0.2}),
    dict(name='w_conv=0.3', cfg_options={'model.cam_head.branch_weights': [0.3, 0.7]},
         params={'w_conv': 0.3}),
    dict(name='w_conv=0.4', cfg_options={'model.cam_head.branch_weights': [0.4, 0.6]},
         params={'w_conv': 0.4}),
    dict(name='w_conv=0.5', cfg_options={'model.cam_head.branch_weights': [0.5, 0.5]},
         params={'w_conv': 0.5}),
    dict(name='w_conv=0.6', cfg_options={'model.cam_head.branch_weights': [0.6, 0.4]},
         params={'w_conv': 0.6}),
    dict(name='w_conv=0.7', cfg_options={'model.cam_head.branch_weights': [0.7, 0.3]},
         params={'w_conv': 0.7}),
    dict(name='w_conv=0.8', cfg_options={'model.cam_head.branch_weights': [0.8, 0.2]},
         params={'w_conv': 0.8}),
    dict(name='w_conv=0.9', cfg_options={'model.cam_head.branch_weights': [0.9, 0.1]},
         params={'w_conv': 0.9}),
    dict(name='w_conv=1', cfg_options={'model.cam_head.branch_weights': [1, 0]},
         params={'w_conv': 1}),
]
