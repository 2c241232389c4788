# WeakTr on VOC 2012: CAMs, dense CRF of their labels, a segmentor with gradient clipping:
#   python tools/run_recipe.py configs/weaktr/recipe_voc.py
_base_ = '../_base_/recipes/voc.py'
title = 'WeakTr on VOC 2012'
stages = [
    dict(name='cam', kind='train', title='CAM', config='configs/weaktr/weaktr_deit-s_voc.py'),
    dict(name='maps', kind='cam-table', title='CAM', checkpoint='cam', split='train', args=['--options', 'maps=cams']),
    dict(name='seeds', kind='pseudo-labels', title='seeds, CRF on the labels', checkpoint='cam',
         args=['--post', 'label-crf', '--crf-preset', 'weaktr_label_voc']),
    dict(name='seeds-quality', kind='evaluate-labels', title='seeds, CRF on the labels', labels='seeds',
         split='{data_root}/ImageSets/Segmentation/train.txt'),
    dict(name='segmenter', kind='train', title='Segmenter', config='configs/weaktr/weaktr-retrain_deit-s_voc.py',
         labels='seeds'),
    dict(name='val', kind='test', title='Segmenter, several scales, CRF', checkpoint='segmenter', args=['--tta'])
]
