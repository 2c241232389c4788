# AReAM, Figures 1 and 6: networks of 6, 8, 10 and 12 layers, without and with AReAM. Published: curves. The maps of all
# layers of each network are drawn by `tools/analyze.py layer-maps`, from the checkpoints of this sweep.
#   python tools/sweep.py configs/aream/sweep_figure6.py
_base_ = '../_base_/recipes/voc.py'
title = 'AReAM, Figures 1 and 6: number of layers'
stages = [
    dict(name='cam', kind='train', config='configs/aream/aream_deit-s_voc.py'),
    dict(name='maps', kind='cam-table', checkpoint='cam', split='train', args=['--options', 'maps=raw_cams,cams']),
]
metrics = ['raw_cams cam/oracle_mIoU', 'cams cam/oracle_mIoU']
runs = [
    dict(name=f'{layers} layers {word}',
         cfg_options={'model.backbone.arch.num_layers': layers, 'model.cam_head.num_layers': layers, **off},
         params={'layers': layers, 'AReAM': word}) for layers in (6, 8, 10, 12)
    for word, off in (('without', {'model.auxiliary': None}), ('with', {}))
]
