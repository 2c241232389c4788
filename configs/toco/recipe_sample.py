# ToCo on the generated sample set, beside a network trained for classification alone:
#   python tools/run_recipe.py configs/toco/recipe_sample.py
_base_ = '../_base_/recipes/sample.py'
title = 'ToCo on the sample set'
stages = [
    dict(name='plain', kind='train', title='plain CAM', config='configs/toco/plain_vit-micro_sample.py',
         report=['cam/mIoU', 'cam/oracle_mIoU']),
    dict(name='toco', kind='train', title='ToCo', config='configs/toco/toco_vit-micro_sample.py',
         short=dict(cfg_options={'model.train_cfg.phases.1.begin': 1, 'model.train_cfg.phases.2.begin': 2})),
    dict(name='labels-par', kind='pseudo-labels', title='pseudo labels, PAR', checkpoint='toco',
         args=['--post', 'par']),
    dict(name='labels-par-quality', kind='evaluate-labels', title='pseudo labels, PAR', labels='labels-par'),
    dict(name='tta', kind='test', title='ToCo, several scales', checkpoint='toco', args=['--tta'], report=['seg/mIoU'])
]
