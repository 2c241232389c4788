# MCTformer on the generated sample set, from image labels to a segmentor:
#   python tools/run_recipe.py configs/mctformer/recipe_sample.py
_base_ = '../_base_/recipes/sample.py'
title = 'MCTformer on the sample set'
stages = [
    dict(name='v1', kind='train', title='V1', config='configs/mctformer/mctformer-v1_vit-micro_sample.py'),
    dict(name='v2', kind='train', title='V2', config='configs/mctformer/mctformer-v2_vit-micro_sample.py'),
    dict(name='maps-v1', kind='cam-table', title='V1, maps', checkpoint='v1'),
    dict(name='maps-v2', kind='cam-table', title='V2, maps', checkpoint='v2'),
    dict(name='labels', kind='pseudo-labels', title='pseudo labels of V2', checkpoint='v2'),
    dict(name='labels-quality', kind='evaluate-labels', title='pseudo labels of V2', labels='labels'),
    dict(name='labels-crf', kind='pseudo-labels', title='pseudo labels of V2, CRF', checkpoint='v2',
         args=['--post', 'crf']),
    dict(name='labels-crf-quality', kind='evaluate-labels', title='pseudo labels of V2, CRF', labels='labels-crf'),
    dict(name='fcn', kind='train', title='FCN on the CRF labels',
         config='configs/mctformer/retrain_fcn_vit-micro_sample.py', labels='labels-crf'),
]
