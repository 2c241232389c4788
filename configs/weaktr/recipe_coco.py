# WeakTr on COCO 2014: CAMs, dense CRF of their labels, a segmentor with gradient clipping:
#   python tools/run_recipe.py configs/weaktr/recipe_coco.py
_base_ = '../_base_/recipes/coco.py'
title = 'WeakTr on COCO 2014'
stages = [
    dict(name='cam', kind='train', title='CAM', config='configs/weaktr/weaktr_deit-s_coco.py'),
    dict(name='maps', kind='cam-table', title='CAM', checkpoint='cam', split='train', args=['--options', 'maps=cams']),
    dict(name='seeds', kind='pseudo-labels', title='seeds, CRF on the labels', checkpoint='cam',
         args=['--post', 'label-crf', '--crf-preset', 'weaktr_label_coco']),
    dict(name='seeds-quality', kind='evaluate-labels', title='seeds, CRF on the labels', labels='seeds'),
    dict(name='segmenter', kind='train', title='Segmenter', config='configs/weaktr/weaktr-retrain_deit-s_coco.py',
         labels='seeds'),
    dict(name='val', kind='test', title='Segmenter, several scales, CRF', checkpoint='segmenter', args=['--tta'])
]
