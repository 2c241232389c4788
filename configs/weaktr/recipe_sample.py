# WeakTr on the generated sample set, from image labels to a segmentor with and without gradient clipping:
#   python tools/run_recipe.py configs/weaktr/recipe_sample.py
_base_ = '../_base_/recipes/sample.py'
title = 'WeakTr on the sample set'
stages = [
    dict(name='adaptive', kind='train', title='CAM', config='configs/weaktr/weaktr_vit-micro_sample.py'),
    # Table 4. The fusion gives no gradient to the rest: without weights, the maps are those of the same network.
    dict(name='random', kind='train', title='CAM, random weights', config='configs/weaktr/weaktr_vit-micro_sample.py',
         cfg_options={'model.cam_head.weights': 'random'}),
    dict(name='maps-mean-sum', kind='cam-table', title='fusion: mean-sum', checkpoint='adaptive',
         cfg_options={'model.cam_head.weights': 'mean_sum'}, args=['--options', 'maps=cams']),
    dict(name='maps-random', kind='cam-table', title='fusion: random fixed weights', checkpoint='random',
         args=['--options', 'maps=cams']),
    dict(name='maps-adaptive', kind='cam-table', title='fusion: adaptive', checkpoint='adaptive'),
    dict(name='seeds', kind='pseudo-labels', title='seeds, CRF on the labels', checkpoint='adaptive',
         args=['--post', 'label-crf', '--crf-preset', 'weaktr_label_voc']),
    dict(name='seeds-quality', kind='evaluate-labels', title='seeds, CRF on the labels', labels='seeds'),
    dict(name='plain', kind='train', title='retraining, plain cross-entropy',
         config='configs/weaktr/weaktr-retrain-plain_vit-micro_sample.py', labels='seeds'),
    dict(name='clipped', kind='train', title='retraining, gradient clipping',
         config='configs/weaktr/weaktr-retrain_vit-micro_sample.py', labels='seeds'),
]
