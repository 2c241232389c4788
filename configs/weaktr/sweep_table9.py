# WeakTr, Table 9: pooling in the fusion. Published on VOC train, best threshold.
#   python tools/sweep.py configs/weaktr/sweep_table9.py
_base_ = '../_base_/recipes/voc.py'
title = 'WeakTr, Table 9: pooling in the fusion'
stages = [
    dict(name='cam', kind='train', config='configs/weaktr/weaktr_deit-s_voc.py'),
    dict(name='maps', kind='cam-table', checkpoint='cam', split='train', args=['--options', 'maps=cams']),
]
metrics = ['cams cam/oracle_mIoU']
grid = {'model.cam_head.pool': ['max', 'avg']}
default = {'model.cam_head.pool': 'avg'}
published = {'cams cam/oracle_mIoU': [66.2, 66.2]}
