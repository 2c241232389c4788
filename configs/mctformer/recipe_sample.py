# MCTformer-V2 on the generated sample set, from image labels to a segmentor:
#   python tools/run_recipe.py configs/mctformer/recipe_sample.py
_base_ = '../_base_/recipes/sample.py'
title = 'MCTformer-V2 on the sample set'
stages = [
    dict(name='v2', kind='train', title='V2', config='configs/mctformer/mctformer-v2_vit-micro_sample.py'),
    dict(name='maps-v2', kind='cam-table', title='V2, maps', checkpoint='v2'),
    # Class maps for the random walk, scores for AffinityNet and the labels of the dense CRF alone, in one pass.
    dict(name='crf', kind='pseudo-labels', title='dense CRF', checkpoint='v2',
         args=['--post', 'crf', '--save-cams', '--crf-alphas', 1, 12]),
    dict(name='crf-quality', kind='evaluate-labels', title='dense CRF', labels='crf'),
    dict(name='psa', kind='train', title='AffinityNet',
         config='configs/psa/psa_wr38-micro_sample.py', labels='crf', report=['affinity/*_auc']),
    dict(name='walk', kind='pseudo-labels', title='random walk', checkpoint='psa', cams='crf',
         args=['--post', 'random-walk']),
    dict(name='walk-quality', kind='evaluate-labels', title='random walk', labels='walk'),
    dict(name='deeplab', kind='train', title='DeepLab-V1',
         config='configs/deeplab/deeplabv1_wr38-micro_sample.py', labels='walk'),
]
