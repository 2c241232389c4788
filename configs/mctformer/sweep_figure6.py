# MCTformer, Figure 6: K layers of attention (V1, no refinement), from one training. Published: best at K = 3.
#   python tools/sweep.py configs/mctformer/sweep_figure6.py
_base_ = '../_base_/recipes/voc.py'
title = 'MCTformer, Figure 6: layers of attention'
stages = [
    dict(name='cam', kind='train', config='configs/mctformer/mctformer-v1_deit-s_voc.py'),
    dict(name='maps', kind='cam-table', checkpoint='cam', split='train', args=['--options', 'maps=attention']),
]
stage = 'maps'
metrics = ['attention cam/oracle_mIoU']
grid = {'model.cam_head.attention_layers': [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}
default = {'model.cam_head.attention_layers': 3}
published = {'attention cam/oracle_mIoU': [None, None, 47.2, None, None, None, None, None, None, None, None, None]}
