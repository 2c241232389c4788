# MCTformer-V2 on the generated sample set: layers of attention and of affinity, from one training.
#   python tools/sweep.py configs/mctformer/sweep_sample.py
_base_ = '../_base_/recipes/sample.py'
title = 'MCTformer-V2 on the sample set: layers of attention and of affinity'
stages = [
    dict(name='v2', kind='train', config='configs/mctformer/mctformer-v2_vit-micro_sample.py'),
    dict(name='maps', kind='cam-table', checkpoint='v2', split='val', args=['--options', 'maps=cams']),
]
stage = 'maps'
metrics = ['*cam/mIoU', '*cam/oracle_mIoU']
grid = {'model.cam_head.attention_layers': [1, 3, 6],
        'model.cam_head.affinity_layers': [[], [0, 1], [0, 1, 2, 3, 4, 5]]}
default = {'model.cam_head.attention_layers': 3, 'model.cam_head.affinity_layers': [0, 1]}
