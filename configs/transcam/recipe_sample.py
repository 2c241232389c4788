# TransCAM's Tables 2 and 3 on the generated sample set, and labels of two background scores, refined by dense CRF:
#   python tools/run_recipe.py configs/transcam/recipe_sample.py
_base_ = '../_base_/recipes/sample.py'
title = 'TransCAM on the sample set'
stages = [
    dict(name='transcam', kind='train', title='TransCAM', config='configs/transcam/transcam_conformer-micro_sample.py'),
    dict(name='tables', kind='cam-table', title='Tables 2 and 3', checkpoint='transcam',
         args=['--options', 'maps=conv_cams,clsattn_all,attnagg_all,transcam_all,transcam_shallow,transcam_deep']),
    dict(name='labels', kind='pseudo-labels', title='labels, CRF', checkpoint='transcam',
         args=['--post', 'label-crf', '--crf-preset', 'transcam_label']),
    dict(name='labels-quality', kind='evaluate-labels', title='labels, CRF', labels='labels'),
]
