# TransCAM on VOC 2012 as published: maps, AffinityNet of labels at two background scores, random walk and CRF, DeepLab:
#   python tools/run_recipe.py configs/transcam/recipe_voc.py
_base_ = '../_base_/recipes/voc.py'
title = 'TransCAM on VOC 2012'
stages = [
    dict(name='cam', kind='train', title='TransCAM', config='configs/transcam/transcam_conformer-s_voc.py'),
    dict(name='maps', kind='cam-table', title='TransCAM, maps', checkpoint='cam', split='train'),
    dict(name='seeds', kind='pseudo-labels', title='seeds at 0.25 and 0.6, CRF', checkpoint='cam',
         args=['--save-cams', '--threshold', 0.25, '--high', 0.6,
                '--post', 'label-crf', '--crf-preset', 'transcam_label']),
    dict(name='seeds-quality', kind='evaluate-labels', title='seeds at 0.25 and 0.6, CRF', labels='seeds',
         split='{data_root}/ImageSets/Segmentation/train.txt', args=['--undecided', 'skip']),
    dict(name='psa', kind='train', title='AffinityNet',
         config='configs/psa/psa_wr38_voc_transcam.py', labels='seeds', report=['affinity/*_auc']),
    dict(name='walk', kind='pseudo-labels', title='random walk', checkpoint='psa', cams='seeds',
         args=['--post', 'random-walk-crf']),
    dict(name='walk-quality', kind='evaluate-labels', title='random walk', labels='walk',
         split='{data_root}/ImageSets/Segmentation/train.txt'),
    dict(name='deeplab', kind='train', title='DeepLab-V1',
         config='configs/deeplab/deeplabv1_wr38_voc_transcam.py', labels='walk'),
    dict(name='deeplab-val', kind='test', title='DeepLab-V1, several scales, CRF', checkpoint='deeplab',
         args=['--tta']),
]
