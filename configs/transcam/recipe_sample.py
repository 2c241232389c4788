# TransCAM's Tables 2 and 3 on the generated sample set:
#   python tools/run_recipe.py configs/transcam/recipe_sample.py
_base_ = '../_base_/recipes/sample.py'
title = 'TransCAM on the sample set'
stages = [
    dict(name='transcam', kind='train', title='TransCAM', config='configs/transcam/transcam_conformer-micro_sample.py'),
    dict(name='table-2', kind='cam-table', title='Table 2', checkpoint='transcam',
         args=['--maps', 'conv_cams,clsattn_all,attnagg_all,transcam_all']),
    dict(name='table-3', kind='cam-table', title='Table 3', checkpoint='transcam',
         args=['--maps', 'transcam_shallow,transcam_deep,transcam_all'])
]
