# TransCAM on COCO 2014, which is not in the paper: maps, dense CRF of hard labels, DeepLab-V1:
#   python tools/run_recipe.py configs/transcam/recipe_coco.py
_base_ = '../_base_/recipes/coco.py'
title = 'TransCAM on COCO 2014'
stages = [
    dict(name='cam', kind='train', title='TransCAM', config='configs/transcam/transcam_conformer-s_coco.py'),
    dict(name='maps', kind='cam-table', title='TransCAM, maps', checkpoint='cam', split='train'),
    dict(name='labels', kind='pseudo-labels', title='pseudo labels, CRF', checkpoint='cam',
         args=['--post', 'label-crf', '--crf-preset', 'transcam_label']),
    dict(name='labels-quality', kind='evaluate-labels', title='pseudo labels, CRF', labels='labels'),
    dict(name='deeplab', kind='train', title='DeepLab-V1',
         config='configs/deeplab/deeplabv1_wr38_coco.py', labels='labels'),
    dict(name='deeplab-val', kind='test', title='DeepLab-V1, several scales, CRF', checkpoint='deeplab',
         args=['--tta']),
]
