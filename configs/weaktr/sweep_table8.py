# WeakTr, Table 8: hidden width of the fusion, 144, 72, 36, 18 and 9. Published on VOC train, best threshold.
#   python tools/sweep.py configs/weaktr/sweep_table8.py
_base_ = '../_base_/recipes/voc.py'
title = 'WeakTr, Table 8: hidden width of the fusion'
stages = [
    dict(name='cam', kind='train', config='configs/weaktr/weaktr_deit-s_voc.py'),
    dict(name='maps', kind='cam-table', checkpoint='cam', split='train', args=['--options', 'maps=cams']),
]
metrics = ['cams cam/oracle_mIoU']
grid = {'model.cam_head.reduction': [0.5, 1, 2, 4, 8]}
default = {'model.cam_head.reduction': 4}
published = {'cams cam/oracle_mIoU': [65.6, 66.0, 65.4, 66.2, 65.8]}
