# ToCo on VOC 2012, as published: one training, then test-time augmentation and dense CRF:
#   python tools/run_recipe.py configs/toco/recipe_voc.py
_base_ = '../_base_/recipes/voc.py'
title = 'ToCo on VOC 2012'
stages = [
    # Four images in all, as published on two GPUs. Losses count in groups of two, so one GPU computes the same.
    dict(name='toco', kind='train', title='ToCo', config='configs/toco/toco_vit-b_voc.py',
         cfg_options={'train_dataloader.batch_size': 4}, report=['seg/mIoU', 'cam/mIoU']),
    dict(name='labels', kind='pseudo-labels', title='pseudo labels', checkpoint='toco',
         split='{data_root}/ImageSets/Segmentation/train.txt'),
    dict(name='labels-quality', kind='evaluate-labels', title='pseudo labels', labels='labels'),
    dict(name='val', kind='test', title='ToCo, several scales, CRF', checkpoint='toco', args=['--tta'],
         report=['seg/mIoU'])
]
