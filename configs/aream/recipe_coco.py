# AReAM on COCO 2014: maps, dense CRF, DeepLab-V1 and DeepLab-V2. How the labels were refined is not published.
#   python tools/run_recipe.py configs/aream/recipe_coco.py
_base_ = '../_base_/recipes/coco.py'
title = 'AReAM on COCO 2014'
stages = [
    dict(name='cam', kind='train', title='AReAM', config='configs/aream/aream_deit-s_coco.py'),
    dict(name='maps', kind='cam-table', title='AReAM, maps', checkpoint='cam', split='train'),
    dict(name='labels', kind='pseudo-labels', title='pseudo labels, CRF', checkpoint='cam', args=['--post', 'crf']),
    dict(name='labels-quality', kind='evaluate-labels', title='pseudo labels, CRF', labels='labels'),
    dict(name='deeplabv1', kind='train', title='DeepLab-V1',
         config='configs/deeplab/deeplabv1_wr38_coco.py', labels='labels'),
    dict(name='deeplabv1-val', kind='test', title='DeepLab-V1, several scales, CRF', checkpoint='deeplabv1',
         args=['--tta']),
    dict(name='deeplabv2', kind='train', title='DeepLab-V2',
         config='configs/deeplab/deeplabv2_r101_coco.py', labels='labels',
         # One batch of 10 for each update, which any number of GPUs that divides 10 can share.
         cfg_options={
             'train_dataloader.batch_size': 10, 'optim_wrapper.accumulative_counts': 1,
             'train_cfg.max_iters': 100000, 'train_cfg.val_interval': 10000, 'param_scheduler.0.interval': 10
         }),
    dict(name='deeplabv2-val', kind='test', title='DeepLab-V2, several scales, CRF', checkpoint='deeplabv2',
         args=['--tta']),
]
