# AReAM's Table I and its layers one by one, on the generated sample set:
#   python tools/run_recipe.py configs/aream/recipe_sample.py
_base_ = '../_base_/recipes/sample.py'
title = 'AReAM on the sample set'
stages = [
    # Table I: one training gives CAM (raw_cams) and CAM + affinity (cams).
    dict(name='classification', kind='train', title='CAM', config='configs/aream/aream_vit-micro_sample.py',
         cfg_options={'model.auxiliary': None}),
    dict(name='aream', kind='train', title='+ AReAM', config='configs/aream/aream_vit-micro_sample.py',
         cfg_options={'model.auxiliary.reactivation.label_cfg.steps.3.num_iters': 0}),
    dict(name='aream-par', kind='train', title='+ PAR', config='configs/aream/aream_vit-micro_sample.py'),
    # Figures 1 and 6, Table III: each layer, and the first layers together.
    dict(name='maps-classification', kind='cam-table', title='without AReAM', checkpoint='classification',
         args=['--options', 'maps=raw_cams,cams,layer_1,layer_2,layer_3,layer_4,layer_5,layer_6,'
                            'first_2,first_3,first_4,first_5,first_6']),
    dict(name='maps-aream', kind='cam-table', title='+ AReAM', checkpoint='aream',
         args=['--options', 'maps=raw_cams,cams']),
    dict(name='maps-aream-par', kind='cam-table', title='+ PAR', checkpoint='aream-par',
         args=['--options', 'maps=raw_cams,cams,layer_1,layer_2,layer_3,layer_4,layer_5,layer_6,'
                            'first_2,first_3,first_4,first_5,first_6'])
]
