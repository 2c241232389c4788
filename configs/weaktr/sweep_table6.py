# WeakTr, Table 6: size of the tiles of gradient clipping. Published on VOC val, several scales and CRF.
#   python tools/sweep.py configs/weaktr/sweep_table6.py
_base_ = '../_base_/recipes/voc.py'
title = 'WeakTr, Table 6: tiles of gradient clipping'
stages = [
    dict(name='cam', kind='train', config='configs/weaktr/weaktr_deit-s_voc.py'),
    dict(name='seeds', kind='pseudo-labels', checkpoint='cam',
         args=['--post', 'label-crf', '--crf-preset', 'weaktr_label_voc']),
    dict(name='segmenter', kind='train', config='configs/weaktr/weaktr-retrain_deit-s_voc.py', labels='seeds',
         report=[]),
    dict(name='one-scale', kind='test', checkpoint='segmenter'),
    dict(name='scales-crf', kind='test', checkpoint='segmenter', args=['--tta']),
]
stage = 'segmenter'
grid = {'model.decode_head.loss_decode.patch_size': [480, 240, 160, 120, 96]}
default = {'model.decode_head.loss_decode.patch_size': 120}
published = {'scales-crf': [73.3, 73.3, 73.5, 74.0, 73.3]}
