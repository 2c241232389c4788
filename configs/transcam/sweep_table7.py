# TransCAM, Table 7: sizes of the Conformer. Published on VOC train, best threshold.
#   python tools/sweep.py configs/transcam/sweep_table7.py
_base_ = '../_base_/recipes/voc.py'
title = 'TransCAM, Table 7: sizes of the Conformer'
stages = [
    dict(name='cam', kind='train', config='configs/transcam/transcam_conformer-s_voc.py'),
    dict(name='maps', kind='cam-table', checkpoint='cam', split='train', args=['--options', 'maps=conv_cams,cams']),
]
metrics = ['conv_cams cam/oracle_mIoU', 'cams cam/oracle_mIoU']
runs = [
    dict(name='Conformer-Ti', config='configs/transcam/transcam_conformer-ti_voc.py', published={'cams': 58.84}),
    dict(name='Conformer-S', published={'cams': 64.85}),
    dict(name='Conformer-B', config='configs/transcam/transcam_conformer-b_voc.py', published={'cams': 64.38}),
]
