# ToCo on COCO 2014, as published: one training, then test-time augmentation and dense CRF:
#   python tools/run_recipe.py configs/toco/recipe_coco.py
_base_ = '../_base_/recipes/coco.py'
title = 'ToCo on COCO 2014'
stages = [
    # Eight images in all, as published on four GPUs. Losses count in groups of two, so one GPU computes the same.
    dict(name='toco', kind='train', title='ToCo', config='configs/toco/toco_vit-b_coco.py',
         cfg_options={'train_dataloader.batch_size': 8}, report=['seg/mIoU', 'cam/mIoU']),
    dict(name='val', kind='test', title='ToCo, several scales, CRF', checkpoint='toco', args=['--tta'],
         report=['seg/mIoU'])
]
