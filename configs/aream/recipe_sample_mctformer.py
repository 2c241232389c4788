# AReAM's mechanism over another method, which stays as it is, on the generated sample set:
#   python tools/run_recipe.py configs/aream/recipe_sample_mctformer.py
_base_ = '../_base_/recipes/sample.py'
title = 'MCTformer-V2 with AReAM on the sample set'
stages = [
    dict(name='mctformer', kind='train', title='MCTformer-V2',
         config='configs/mctformer/mctformer-v2_vit-micro_sample.py',
         cfg_options={'train_cfg.max_epochs': 12, 'train_cfg.val_interval': 12}),
    dict(name='mctformer-aream', kind='train', title='MCTformer-V2 + AReAM',
         config='configs/aream/mctformer-v2+aream_vit-micro_sample.py',
         cfg_options={'train_cfg.max_epochs': 12, 'train_cfg.val_interval': 12}),
    dict(name='maps-mctformer', kind='cam-table', title='MCTformer-V2', checkpoint='mctformer',
         args=['--options', 'maps=cams', '--sweep', 'model.cam_head.affinity_layers=[],[0,1],None']),
    dict(name='maps-mctformer-aream', kind='cam-table', title='MCTformer-V2 + AReAM', checkpoint='mctformer-aream',
         args=['--options', 'maps=cams', '--sweep', 'model.cam_head.affinity_layers=[],[0,1],None'])
]
