# WeakTr, Table 4: how attention is fused. Published on VOC train, best threshold; mean-sum is MCTformer's there.
#   python tools/sweep.py configs/weaktr/sweep_table4.py
_base_ = '../_base_/recipes/voc.py'
title = 'WeakTr, Table 4: fusion of attention'
stages = [
    dict(name='cam', kind='train', config='configs/weaktr/weaktr_deit-s_voc.py'),
    dict(name='maps', kind='cam-table', checkpoint='cam', split='train', args=['--options', 'maps=cams']),
]
metrics = ['cams cam/oracle_mIoU']
grid = {'model.cam_head.weights': ['mean_sum', 'random', 'adaptive']}
default = {'model.cam_head.weights': 'adaptive'}
published = {'cams cam/oracle_mIoU': [61.7, 65.3, 66.2]}
