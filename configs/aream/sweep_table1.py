# AReAM, Table I: CAMs, average affinity, AReAM, PAR. Published on VOC train, best threshold.
#   python tools/sweep.py configs/aream/sweep_table1.py
_base_ = '../_base_/recipes/voc.py'
title = 'AReAM, Table I'
stages = [
    dict(name='cam', kind='train', config='configs/aream/aream_deit-s_voc.py'),
    dict(name='maps', kind='cam-table', checkpoint='cam', split='train', args=['--options', 'maps=raw_cams,cams']),
]
metrics = ['raw_cams cam/oracle_mIoU', 'cams cam/oracle_mIoU']
runs = [
    dict(name='CAMs + affinity', cfg_options={'model.auxiliary': None},
         published={'raw_cams': 62.5, 'cams': 65.9}),
    dict(name='+ AReAM', cfg_options={'model.auxiliary.reactivation.label_cfg.steps.3.num_iters': 0},
         published={'cams': 68.9}),
    dict(name='+ AReAM + PAR', published={'cams': 69.2}),
]
