# MCTformer, Table 7: how class tokens become scores (V1, attention alone). Published on VOC train, best threshold.
#   python tools/sweep.py configs/mctformer/sweep_table7.py
_base_ = '../_base_/recipes/voc.py'
title = 'MCTformer, Table 7: class scores'
stages = [
    dict(name='cam', kind='train', config='configs/mctformer/mctformer-v1_deit-s_voc.py'),
    dict(name='maps', kind='cam-table', checkpoint='cam', split='train', args=['--options', 'maps=attention']),
]
metrics = ['attention cam/oracle_mIoU']
grid = {'model.cam_head.class_score': ['fc', 'max', 'mean']}
default = {'model.cam_head.class_score': 'mean'}
published = {'attention cam/oracle_mIoU': [41.5, 26.8, 47.2]}
