# MCTformer-V2 on COCO 2014. The stages after the maps are VOC's: the publication does not describe them for COCO.
#   python tools/run_recipe.py configs/mctformer/recipe_coco.py
_base_ = '../_base_/recipes/coco.py'
title = 'MCTformer-V2 on COCO 2014'
stages = [
    dict(name='cam', kind='train', title='MCTformer-V2', config='configs/mctformer/mctformer-v2_deit-s_coco.py'),
    dict(name='maps', kind='cam-table', title='MCTformer-V2, maps', checkpoint='cam', split='train'),
    # The training has images without an object, too; they give no seeds.
    dict(name='seeds', kind='pseudo-labels', title='seeds', checkpoint='cam', split='{data_root}/ImageSets/train.txt',
         args=['--save-cams', '--crf-alphas', 1, 12]),
    dict(name='seeds-quality', kind='evaluate-labels', title='seeds', labels='seeds'),
    dict(name='psa', kind='train', title='AffinityNet',
         config='configs/psa/psa_wr38_coco.py', labels='seeds', report=['affinity/*_auc']),
    dict(name='walk', kind='pseudo-labels', title='random walk', checkpoint='psa', cams='seeds',
         args=['--post', 'random-walk']),
    dict(name='walk-quality', kind='evaluate-labels', title='random walk', labels='walk'),
    dict(name='deeplab', kind='train', title='DeepLab-V1',
         config='configs/deeplab/deeplabv1_wr38_coco.py', labels='walk'),
    dict(name='deeplab-val', kind='test', title='DeepLab-V1, several scales, CRF', checkpoint='deeplab',
         args=['--tta']),
]
