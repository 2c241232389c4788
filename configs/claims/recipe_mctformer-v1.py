# MCTformer-V1 on photographs: python tools/run_claims.py --only mctformer-v1 --data-root DATA
_base_ = '../_base_/recipes/claims.py'
title = 'MCTformer-V1: three ways to score a class token'
about = (
    'MCTformer-V1, trained for two epochs on crops of 112 pixels, once for each way to compute the score of a class '
    'from its token: the mean of its channels, their maximum, or a linear layer (fc). The maps are the attention of '
    'the class tokens.')
stages = []
for score in ('mean', 'max', 'fc'):
    stages += [
        dict(name=score, kind='train', config='configs/claims/mctformer-v1_dinov2-s_photos.py',
             cfg_options={'model.cam_head.class_score': score, 'val_dataloader': None, 'val_cfg': None,
                          'val_evaluator': None}),
        dict(name=f'maps-{score}', kind='cam-table', checkpoint=score, split='{out}/photos.txt',
             args=['--options', 'maps=attention,refined_attention']),
    ]
del score
claims = [
    dict(text='The mean gives better attention than the maximum', source='MCTformer, Table 7',
         better=['maps-mean', 'attention', 'mean'], worse=['maps-max', 'attention', 'max']),
    dict(text='The mean gives better attention than a linear layer', source='MCTformer, Table 7',
         better=['maps-mean', 'attention', 'mean'], worse=['maps-fc', 'attention', 'fc']),
    dict(text='A linear layer gives better attention than the maximum', source='MCTformer, Table 7',
         better=['maps-fc', 'attention', 'fc'], worse=['maps-max', 'attention', 'max']),
    dict(text='Patch affinity improves the attention of version 1', source='MCTformer, Table 5',
         better=['maps-mean', 'refined_attention', 'refined'], worse=['maps-mean', 'attention']),
]
