# MCTformer-V1, Table 6: segmentation trained on labels of different maps, without PSA. One training of the CAMs.
# Published on VOC val, several scales and CRF.
#   python tools/sweep.py configs/mctformer/sweep_table6_v1.py
_base_ = '../_base_/recipes/voc.py'
title = 'MCTformer-V1, Table 6: maps and segmentation'
stages = [
    dict(name='cam', kind='train', config='configs/mctformer/mctformer-v1_deit-s_voc.py'),
    dict(name='labels', kind='pseudo-labels', checkpoint='cam'),
    dict(name='deeplab', kind='train', config='configs/deeplab/deeplabv1_wr38_voc.py', labels='labels'),
    dict(name='val', kind='test', checkpoint='deeplab', args=['--tta']),
]
stage = 'labels'
metrics = ['seg/mIoU']
runs = [
    dict(name='attention', cfg_options={'model.cam_head.affinity_layers': []}, published={'seg/mIoU': 55.6}),
    dict(name='attention + affinity', published={'seg/mIoU': 58.8}),
]
