# AReAM on VOC 2012 as published: maps, AffinityNet and random walk, DeepLab-V1 and DeepLab-V2:
#   python tools/run_recipe.py configs/aream/recipe_voc.py
_base_ = '../_base_/recipes/voc.py'
title = 'AReAM on VOC 2012'
stages = [
    dict(name='cam', kind='train', title='AReAM', config='configs/aream/aream_deit-s_voc.py'),
    dict(name='maps', kind='cam-table', title='AReAM, maps', checkpoint='cam', split='train'),
    dict(name='seeds', kind='pseudo-labels', title='seeds', checkpoint='cam',
         args=['--save-cams', '--crf-alphas', 1, 12]),
    dict(name='seeds-quality', kind='evaluate-labels', title='seeds', labels='seeds',
         split='{data_root}/ImageSets/Segmentation/train.txt'),
    dict(name='psa', kind='train', title='AffinityNet',
         config='configs/psa/psa_wr38_voc.py', labels='seeds', report=['affinity/*_auc']),
    dict(name='walk', kind='pseudo-labels', title='random walk', checkpoint='psa', cams='seeds',
         args=['--post', 'random-walk']),
    dict(name='walk-quality', kind='evaluate-labels', title='random walk', labels='walk',
         split='{data_root}/ImageSets/Segmentation/train.txt'),
    dict(name='deeplabv1', kind='train', title='DeepLab-V1',
         config='configs/deeplab/deeplabv1_wr38_voc.py', labels='walk'),
    dict(name='deeplabv1-val', kind='test', title='DeepLab-V1, several scales, CRF', checkpoint='deeplabv1',
         args=['--tta']),
    dict(name='deeplabv2', kind='train', title='DeepLab-V2',
         config='configs/deeplab/deeplabv2_r101_voc.py', labels='walk',
         # One batch of 10 for each update, which any number of GPUs that divides 10 can share.
         cfg_options={
             'train_dataloader.batch_size': 10, 'optim_wrapper.accumulative_counts': 1,
             'train_cfg.max_iters': 20000, 'train_cfg.val_interval': 5000,
             'param_scheduler.0.interval': 10
         }),
    dict(name='deeplabv2-val', kind='test', title='DeepLab-V2, several scales, CRF', checkpoint='deeplabv2',
         args=['--tta']),
]
