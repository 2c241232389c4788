# WeakTr on photographs: python tools/run_claims.py --only weaktr --data-root DATA
_base_ = '../_base_/recipes/claims.py'
title = 'WeakTr: three ways to weigh attention heads'
about = (
    'The first stage of WeakTr, trained for two epochs on crops of 112 pixels. Mean-sum is the same network, whose '
    'attention heads are averaged and whose layers are added up; its weights for the heads are not used. Random: the '
    "weights of the heads are computed from fixed random numbers in place of pooled attention. The mean of a head's "
    'attention is one divided by the number of tokens, so that pooled attention is a constant. The weights that are '
    'learned from it are nearly equal (0.497 to 0.502 with seed 1), which makes the adaptive maps those of mean-sum. '
    'With the maximum in place of the mean, they depend on the image.')
stages = [
    dict(name='adaptive', kind='train', config='configs/claims/weaktr_dinov2-s_photos.py',
         cfg_options={'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}),
    dict(name='maps-adaptive', kind='cam-table', checkpoint='adaptive', split='{out}/photos.txt'),
    # The fusion gives no gradient to the rest: the same network without its weights.
    dict(name='maps-mean-sum', kind='cam-table', checkpoint='adaptive', split='{out}/photos.txt',
         cfg_options={'model.cam_head.weights': 'mean_sum'}, args=['--options', 'maps=cams']),
    dict(name='random', kind='train', config='configs/claims/weaktr_dinov2-s_photos.py',
         cfg_options={'model.cam_head.weights': 'random', 'val_dataloader': None, 'val_cfg': None,
                      'val_evaluator': None}),
    dict(name='maps-random', kind='cam-table', checkpoint='random', split='{out}/photos.txt',
         args=['--options', 'maps=cams']),
    # The pooled attention of the published setting is a constant; with its maximum, weights depend on the image.
    dict(name='max-pool', kind='train', config='configs/claims/weaktr_dinov2-s_photos.py',
         cfg_options={'model.cam_head.pool': 'max', 'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}),
    dict(name='maps-max-pool', kind='cam-table', checkpoint='max-pool', split='{out}/photos.txt',
         args=['--options', 'maps=cams']),
]
claims = [
    dict(text='Adaptive weights are better than mean-sum', source='WeakTr, Table 4',
         better=['maps-adaptive', 'cams', 'adaptive'], worse=['maps-mean-sum', 'cams', 'mean-sum']),
    dict(text='Adaptive weights are better than random fixed ones', source='WeakTr, Table 4',
         better=['maps-adaptive', 'cams', 'adaptive'], worse=['maps-random', 'cams', 'random']),
    dict(text='Random fixed weights are better than mean-sum', source='WeakTr, Table 4',
         better=['maps-random', 'cams', 'random'], worse=['maps-mean-sum', 'cams', 'mean-sum']),
    dict(text='The fine map is better than the coarse map of the patch classifier', source='WeakTr, Fig. 9',
         better=['maps-adaptive', 'cams', 'fine'], worse=['maps-adaptive', 'coarse_cams', 'coarse']),
    dict(text='Adaptive weights from the maximum of attention are better than mean-sum', source='WeakTr, version 3',
         better=['maps-max-pool', 'cams', 'maximum'], worse=['maps-mean-sum', 'cams', 'mean-sum']),
]
