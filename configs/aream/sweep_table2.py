# AReAM, Table II: weight of the affinity loss. Published on VOC train, best threshold.
#   python tools/sweep.py configs/aream/sweep_table2.py
_base_ = '../_base_/recipes/voc.py'
title = 'AReAM, Table II: weight of the affinity loss'
stages = [
    dict(name='cam', kind='train', config='configs/aream/aream_deit-s_voc.py'),
    dict(name='maps', kind='cam-table', checkpoint='cam', split='train', args=['--options', 'maps=cams']),
]
metrics = ['cams cam/oracle_mIoU']
grid = {'model.auxiliary.reactivation.weight': [0.1, 0.2, 0.3, 0.4, 0.5]}
default = {'model.auxiliary.reactivation.weight': 0.2}
published = {'cams cam/oracle_mIoU': [67.6, 69.2, 69.1, 69.2, 68.8]}
