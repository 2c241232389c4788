# Retraining on photographs: python tools/run_claims.py --only retraining --data-root DATA
_base_ = '../_base_/recipes/claims.py'
title = 'Retraining'
about = (
    'A segmentor, trained on pseudo labels of MCTformer-V2 with plain cross-entropy and with gradient clipping. It '
    'gets no image labels. It is compared with its pseudo labels on the photographs that it was trained on, and '
    'clipping with plain cross-entropy on the validation photographs.')
stages = [
    dict(name='v2', kind='train', config='configs/mctformer/mctformer-v2_dinov2-s_photos.py',
         cfg_options={'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}),
    dict(name='pseudo', kind='pseudo-labels', checkpoint='v2', args=['--post', 'none']),
    dict(name='pseudo-quality', kind='evaluate-labels', labels='pseudo'),
    dict(name='plain', kind='train', config='configs/weaktr/segmenter_dinov2-s_photos.py', labels='pseudo'),
    dict(name='plain-train', kind='test', checkpoint='plain',
         cfg_options={'test_dataloader.dataset.dataset.ann_file': 'ImageSets/Segmentation/train.txt'}),
    dict(name='clipped', kind='train', config='configs/claims/segmenter-clipped_dinov2-s_photos.py', labels='pseudo'),
]
claims = [
    dict(text='A segmentor is better than the labels that it learns from', source='WeakTr, Tables 1 and 2',
         better=['plain-train', 'seg/mIoU', 'segmentor'], worse=['pseudo-quality', 'pseudo/mIoU', 'labels']),
    dict(text='Gradient clipping improves the segmentor', source='WeakTr, Fig. 5 and Table 5',
         better=['clipped', 'seg/mIoU', 'clipping'], worse=['plain', 'seg/mIoU', 'plain']),
]
