# MCTformer-V2 on photographs: python tools/run_claims.py --only mctformer --data-root DATA
_base_ = '../_base_/recipes/claims.py'
title = 'MCTformer-V2, and affinity layer by layer'
about = (
    'MCTformer-V2, trained for two epochs on crops of 168 pixels, with tokens that are not normalized, as on DeiT. One '
    'training gives all maps: attention, the maps of the patch classifier, their product (fused), each also refined by '
    'patch affinity. Layers: the fused map, refined '
    'by the affinity of one layer, or of the first layers on average. CRF and PAR refine the scores of the attention '
    'that is refined by affinity, with the presets of the config. Fixed scores are 0.3; 0.15 for normalized tokens and '
    '0.25 with a slow backbone, the config for photographs. Plain CAM was trained for one epoch on the same '
    'crops (recipe_cam.py).')
stages = [
    dict(
        name='v2',
        kind='train',
        config='configs/claims/mctformer-v2-raw_dinov2-s_photos.py',
        cfg_options={'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}),
    dict(name='maps', kind='cam-table', checkpoint='v2', split='{out}/photos.txt',
         args=['--options',
               'maps=attention,patch_cams,fused_cams,refined_attention,refined_patch_cams,refined_fused_cams']),
    # AReAM's head has the same weights, and maps of each layer.
    dict(name='layers', kind='cam-table', checkpoint='v2', split='{out}/photos.txt',
         config='configs/claims/aream_dinov2-s_photos.py', cfg_options={'model.backbone.raw_output': True},
         args=['--options', 'maps=cams,raw_cams,' + ','.join(f'{kind}_{n}' for kind in ('layer', 'first')
                                                     for n in range(1, 13))]),
    dict(name='last', kind='cam-table', checkpoint='v2', split='{out}/photos.txt',
         args=['--options', 'maps=attention,fused_cams', '--sweep', 'model.cam_head.attention_layers=1,6,12']),
    dict(name='crf', kind='pseudo-labels', checkpoint='v2', split='{out}/photos.txt', args=['--post', 'crf']),
    dict(name='crf-quality', kind='evaluate-labels', labels='crf'),
    dict(name='par', kind='pseudo-labels', checkpoint='v2', split='{out}/photos.txt', args=['--post', 'par']),
    dict(name='par-quality', kind='evaluate-labels', labels='par'),
    # What the start gives without training: one iteration at a rate of 0.
    dict(name='untrained', kind='train', config='configs/claims/mctformer-v2-raw_dinov2-s_photos.py',
         cfg_options={'optim_wrapper.optimizer.lr': 0., 'train_dataloader.dataset.dataset.indices': 8,
                      'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1, 'val_dataloader': None, 'val_cfg': None,
                      'val_evaluator': None}),
    dict(name='maps-untrained', kind='cam-table', checkpoint='untrained', split='{out}/photos.txt',
         args=['--options', 'maps=attention,refined_attention'],
         cfg_options={'train_dataloader.dataset.dataset.indices': None}),
    # Why training helps attention or not: one thing is changed, the rate of the class tokens.
    dict(name='token-rate', kind='train', config='configs/claims/mctformer-v2-raw_dinov2-s_photos.py',
         cfg_options={'optim_wrapper.paramwise_cfg.custom_keys.cls_token.lr_mult': 100., 'val_dataloader': None,
                      'val_cfg': None, 'val_evaluator': None}),
    dict(name='maps-token-rate', kind='cam-table', checkpoint='token-rate', split='{out}/photos.txt',
         args=['--options', 'maps=attention,refined_attention']),
    # Why fusion helps or not: one thing is changed, the rate of the patch classifier.
    dict(name='rate', kind='train', config='configs/claims/mctformer-v2-raw_dinov2-s_photos.py',
         cfg_options={'optim_wrapper.paramwise_cfg.custom_keys.cam_head.lr_mult': 100., 'val_dataloader': None,
                      'val_cfg': None, 'val_evaluator': None}),
    dict(name='maps-rate', kind='cam-table', checkpoint='rate', split='{out}/photos.txt',
         args=['--options', 'maps=attention,patch_cams,fused_cams,refined_attention,refined_fused_cams']),
    # Why the seed decides: one thing is changed, the final norm of the tokens; their score is that of the config.
    dict(name='normalized', kind='train', config='configs/claims/mctformer-v2-raw_dinov2-s_photos.py',
         cfg_options={'model.backbone.raw_output': False, 'model.test_cfg.threshold': 0.15, 'val_dataloader': None,
                      'val_cfg': None, 'val_evaluator': None}),
    dict(name='maps-normalized', kind='cam-table', checkpoint='normalized', split='{out}/photos.txt',
         args=['--options', 'maps=attention,patch_cams,fused_cams,refined_attention,refined_fused_cams']),
    # The config for photographs, whose backbone has a tenth of the rate, its class tokens and head 20 times the rate.
    dict(name='slow', kind='train', config='configs/mctformer/mctformer-v2_dinov2-s_photos.py',
         cfg_options={'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}),
    dict(name='maps-slow', kind='cam-table', checkpoint='slow', split='{out}/photos.txt',
         args=['--options', 'maps=attention,patch_cams,refined_attention,refined_fused_cams']),
]
claims = [
    dict(text='The attention of class tokens is a better map than plain CAM', source='MCTformer, Table 5',
         better=['maps', 'attention'], worse=['cam:maps', 'cams', 'plain CAM']),
    dict(text='Training improves the attention of class tokens', source='MCTformer, Sec. 4.3',
         better=['maps', 'attention', 'trained'], worse=['maps-untrained', 'attention', 'untrained']),
    dict(text='Training improves the attention of class tokens that is refined by affinity',
         source='MCTformer, Sec. 4.3', better=['maps', 'refined_attention', 'trained'],
         worse=['maps-untrained', 'refined_attention', 'untrained'],
         reason=(
             'the class tokens learn almost nothing in these two epochs. Their loss in iterations 76 to 85 is 0.268, '
             '0.263 and 0.269 for seeds 0, 1 and 2; a classifier that only knows how frequent each class is has 0.27. '
             'A token that cannot tell its class cannot show where it is: the maps show what the network attends to '
             'anyway, and the image labels that are given say which class that is. The start, which was fine-tuned '
             'for saliency, does this as well without training. A backbone that learns slowly keeps what the start '
             'does, and then training helps: two claims below show it.')),
    dict(text='With a hundred times the rate for class tokens, training improves refined attention',
         source='MCTformer, Sec. 4.3', better=['maps-token-rate', 'refined_attention', 'trained'],
         worse=['maps-untrained', 'refined_attention', 'untrained']),
    dict(text='Normalizing the tokens of this start improves refined attention', source='mmwsss',
         better=['maps-normalized', 'refined_attention', 'normalized'],
         worse=['maps', 'refined_attention', 'not normalized']),
    dict(text='Normalizing the tokens of this start improves the patch classifier', source='mmwsss',
         better=['maps-normalized', 'patch_cams', 'normalized'], worse=['maps', 'patch_cams', 'not normalized']),
    dict(text='With normalized tokens and a slow backbone, training improves refined attention', source='mmwsss',
         better=['maps-slow', 'refined_attention', 'trained'],
         worse=['maps-untrained', 'refined_attention', 'untrained']),
    dict(text='A slow backbone improves refined attention of normalized tokens', source='mmwsss',
         better=['maps-slow', 'refined_attention', 'slow'],
         worse=['maps-normalized', 'refined_attention', 'not slow']),
    dict(text='The patch classifier improves attention', source='MCTformer, Table 5',
         better=['maps', 'fused_cams', 'fused'], worse=['maps', 'attention']),
    dict(text='With ten times the rate for the patch classifier, it improves attention', source='MCTformer, Table 5',
         better=['maps-rate', 'fused_cams', 'fused'], worse=['maps-rate', 'attention']),
    dict(text='Attention improves the map of the patch classifier', source='MCTformer, Fig. 5',
         better=['maps', 'fused_cams', 'fused'], worse=['maps', 'patch_cams', 'patch classifier']),
    dict(text='Patch affinity improves attention', source='MCTformer, Table 5',
         better=['maps', 'refined_attention', 'refined'], worse=['maps', 'attention']),
    dict(text='Patch affinity improves the fused map', source='MCTformer, Table 5',
         better=['maps', 'refined_fused_cams', 'refined'], worse=['maps', 'fused_cams', 'fused']),
    dict(text='Attention of the last 3 layers is better than that of all 12', source='MCTformer, Fig. 6',
         better=['maps', 'attention', 'last 3'], worse=['last', 'attention attention_layers=12', 'all 12']),
    dict(text='Attention of the last 3 layers is better than that of the last 6', source='MCTformer, Fig. 6',
         better=['maps', 'attention', 'last 3'], worse=['last', 'attention attention_layers=6', 'last 6']),
    dict(text='Attention of the last 3 layers is better than that of the last one', source='MCTformer, Fig. 6',
         better=['maps', 'attention', 'last 3'], worse=['last', 'attention attention_layers=1', 'last 1']),
    dict(text='The affinity of a shallow layer, the fourth, improves the fused map', source='AReAM, Fig. 1',
         better=['layers', 'layer_4', 'layer 4'], worse=['layers', 'raw_cams', 'fused']),
    dict(text='The affinity of the last layer makes the fused map worse', source='AReAM, Fig. 1',
         better=['layers', 'raw_cams', 'fused'], worse=['layers', 'layer_12', 'layer 12']),
    dict(text='The affinity of the first 7 layers is better than that of all 12', source='AReAM, Table III',
         better=['layers', 'first_7', 'first 7'], worse=['layers', 'first_12', 'all 12']),
    dict(text='Dense CRF improves maps', source='WeakTr, Table 4',
         better=['crf-quality', 'pseudo/mIoU', 'CRF'], worse=['maps', 'refined_attention', 'none']),
    dict(text='Pixel-adaptive refinement (PAR) improves maps', source='AReAM, Table I',
         better=['par-quality', 'pseudo/mIoU', 'PAR'], worse=['maps', 'refined_attention', 'none']),
]
