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
    dict(name='6 layers without',
         cfg_options={'model.backbone.arch.num_layers': 6, 'model.cam_head.num_layers': 6, 'model.auxiliary': None},
         params={'layers': 6, 'AReAM': 'without'}),
    dict(name='6 layers with',
         cfg_options={'model.backbone.arch.num_layers': 6, 'model.cam_head.num_layers': 6},
         params={'layers': 6, 'AReAM': 'with'}),
    dict(name='8 layers without',
         cfg_options={'model.backbone.arch.num_layers': 8, 'model.cam_head.num_layers': 8, 'model.auxiliary': None},
         params={'layers': 8, 'AReAM': 'without'}),
    dict(name='8 layers with',
         cfg_options={'model.backbone.arch.num_layers': 8, 'model.cam_head.num_layers': 8},
         params={'layers': 8, 'AReAM': 'with'}),
    dict(name='10 layers without',
         cfg_options={'model.backbone.arch.num_layers': 10, 'model.cam_head.num_layers': 10, 'model.auxiliary': None},
         params={'layers': 10, 'AReAM': 'without'}),
    dict(name='10 layers with',
         cfg_options={'model.backbone.arch.num_layers': 10, 'model.cam_head.num_layers': 10},
         params={'layers': 10, 'AReAM': 'with'}),
    dict(name='12 layers without',
         cfg_options={'model.backbone.arch.num_layers': 12, 'model.cam_head.num_layers': 12, 'model.auxiliary': None},
         params={'layers': 12, 'AReAM': 'without'}),
    dict(name='12 layers with',
         cfg_options={'model.backbone.arch.num_layers': 12, 'model.cam_head.num_layers': 12},
         params={'layers': 12, 'AReAM': 'with'}),
]
