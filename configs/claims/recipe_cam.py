# Plain CAM on photographs: python tools/run_claims.py --only cam --data-root DATA
_base_ = '../_base_/recipes/claims.py'
title = 'Plain CAM'
about = 'Plain CAM, trained for one epoch on crops of 168 pixels: what the other recipes are compared with.'
stages = [
    dict(name='cam', kind='train', config='configs/cam/cam_dinov2-s_photos.py',
         cfg_options={'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1, 'val_dataloader': None, 'val_cfg': None,
                      'val_evaluator': None}),
    dict(name='maps', kind='cam-table', checkpoint='cam', split='{out}/photos.txt',
         args=['--options', 'threshold=0.3']),
]
