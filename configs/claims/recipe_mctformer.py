# MCTformer-V2 on photographs: python tools/run_claims.py --only mctformer --data-root DATA
_base_ = '../_base_/recipes/claims.py'
title = 'MCTformer-V2, and affinity layer by layer'
about = (
    'MCTformer-V2 with the config for photographs, trained for two epochs on crops of 168 pixels. One training gives '
    'all maps: attention, the maps of the patch classifier, their product (fused), each also refined by patch '
    'affinity. Layers: the fused map, refined by the affinity of one layer, or of the first layers on average. The '
    'fixed score is 0.25, that of the config. CRF and PAR refine the scores of the attention that is refined by '
    'affinity; the labels of the CRF are taken at 0.15, the score that suggest_threshold.py chooses for them without '
    'masks, and once more at 0.25. Some claims compare the config with earlier ones: one rate for the network '
    'and ten times as much for its head, with tokens that are normalized (score 0.15) or not, as on DeiT (0.3). Plain '
    'CAM was trained for one epoch on the same crops (recipe_cam.py).')
no_val = {'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}
config = 'configs/mctformer/mctformer-v2_dinov2-s_photos.py'
raw_config = 'configs/claims/mctformer-v2-raw_dinov2-s_photos.py'
evaluated = dict(kind='cam-table', split='{out}/photos.txt')
all_maps = ['--options', 'maps=attention,patch_cams,fused_cams,refined_attention,refined_patch_cams,refined_fused_cams']
# One iteration at a rate of 0: what the start gives without training.
untrained = {
    'optim_wrapper.optimizer.lr': 0., 'train_dataloader.dataset.dataset.indices': 8, 'train_cfg.max_epochs': 1,
    'train_cfg.val_interval': 1, **no_val}
stages = [
    dict(name='v2', kind='train', config=config, cfg_options=no_val),
    dict(evaluated, name='maps', checkpoint='v2', args=all_maps),
    # AReAM's head has the same weights, and maps of each layer.
    dict(evaluated, name='layers', checkpoint='v2', config='configs/claims/aream_dinov2-s_photos.py',
         args=['--options', 'maps=cams,raw_cams,' + ','.join(f'{kind}_{n}' for kind in ('layer', 'first')
                                                             for n in range(1, 13))]),
    dict(evaluated, name='last', checkpoint='v2',
         args=['--options', 'maps=attention,fused_cams', '--sweep', 'model.cam_head.attention_layers=1,6,12']),
    dict(evaluated, name='views', checkpoint='v2', args=['--options', 'maps=attention,refined_attention'],
         cfg_options={'model.test_cfg.cams.scales': (1.0, 0.75, 1.25)}),
    dict(evaluated, name='mirror', checkpoint='v2', args=['--options', 'maps=attention,refined_attention'],
         cfg_options={'model.test_cfg.cams.flip': False}),
    dict(name='crf', kind='pseudo-labels', checkpoint='v2', split='{out}/photos.txt',
         args=['--post', 'crf', '--threshold', '0.15']),
    dict(name='crf-quality', kind='evaluate-labels', labels='crf'),
    dict(name='crf-same', kind='pseudo-labels', checkpoint='v2', split='{out}/photos.txt', args=['--post', 'crf']),
    dict(name='crf-same-quality', kind='evaluate-labels', labels='crf-same'),
    dict(name='par', kind='pseudo-labels', checkpoint='v2', split='{out}/photos.txt', args=['--post', 'par']),
    dict(name='par-quality', kind='evaluate-labels', labels='par'),
    dict(name='untrained', kind='train', config=config, cfg_options=untrained),
    dict(evaluated, name='maps-untrained', checkpoint='untrained',
         args=['--options', 'maps=attention,refined_attention'],
         cfg_options={'train_dataloader.dataset.dataset.indices': None}),
    # Why fusion helps or not: one thing is changed, the length of the training.
    dict(name='long', kind='train', config=config,
         cfg_options={'train_cfg.max_epochs': 6, 'train_cfg.val_interval': 6, **no_val}),
    dict(evaluated, name='maps-long', checkpoint='long', args=all_maps),
    # Earlier configs: one rate for the network, tokens normalized or not.
    dict(name='normalized', kind='train', config=raw_config,
         cfg_options={'model.backbone.raw_output': False, 'model.test_cfg.threshold': 0.15, **no_val}),
    dict(evaluated, name='maps-normalized', checkpoint='normalized',
         args=['--options', 'maps=attention,patch_cams,fused_cams,refined_attention,refined_fused_cams']),
    dict(name='raw', kind='train', config=raw_config, cfg_options=no_val),
    dict(evaluated, name='maps-raw', checkpoint='raw', args=all_maps),
    dict(name='untrained-raw', kind='train', config=raw_config, cfg_options=untrained),
    dict(evaluated, name='maps-untrained-raw', checkpoint='untrained-raw',
         args=['--options', 'maps=attention,refined_attention'],
         cfg_options={'train_dataloader.dataset.dataset.indices': None}),
]
del no_val, config, raw_config, evaluated, all_maps, untrained
claims = [
    dict(text='The attention of class tokens is a better map than plain CAM', source='MCTformer, Table 5',
         better=['maps', 'attention'], worse=['cam:maps', 'cams', 'plain CAM']),
    dict(text='Training improves the attention of class tokens', source='MCTformer, Sec. 4.3',
         better=['maps', 'attention', 'trained'], worse=['maps-untrained', 'attention', 'untrained']),
    dict(text='Training improves the attention of class tokens that is refined by affinity',
         source='MCTformer, Sec. 4.3', better=['maps', 'refined_attention', 'trained'],
         worse=['maps-untrained', 'refined_attention', 'untrained']),
    dict(text='The patch classifier improves attention', source='MCTformer, Table 5',
         better=['maps', 'fused_cams', 'fused'], worse=['maps', 'attention'],
         reason=(
             'of the two maps that are multiplied, the patch classifier is by far the weaker one here. Each at its '
             'best score, it finds 56, 63 and 53 % of the pixels of objects (seeds 0, 1 and 2) with a precision of '
             '45, 46 and 51 %; attention finds 79, 78 and 79 % with 76, 73 and 71 %. The product lies between them in '
             'mIoU: 38.3, 46.0 and 62.5 on average. In the paper, it is attention that has low responses and noise. '
             'This start was fine-tuned for saliency, so its attention finds objects from the beginning, while the '
             'classifier of patches begins with random weights and has two epochs. Normalizing its tokens, the one '
             'change that was tried for it alone, makes it better, see below, but not good enough.')),
    dict(text='With three times as many epochs, the patch classifier improves attention', source='MCTformer, Table 5',
         better=['maps-long', 'fused_cams', 'fused'], worse=['maps-long', 'attention']),
    dict(text='Attention improves the map of the patch classifier', source='MCTformer, Fig. 5',
         better=['maps', 'fused_cams', 'fused'], worse=['maps', 'patch_cams', 'patch classifier'],
         reason=(
             'it is the score that decides. A product of two maps below 1 is smaller than either, and only 24 to 29 % '
             "of the objects' pixels exceed 0.25. Each at its best score, 0.02 to 0.04 for the product, the claim "
             'holds.')),
    dict(text='Patch affinity improves attention', source='MCTformer, Table 5',
         better=['maps', 'refined_attention', 'refined'], worse=['maps', 'attention']),
    dict(text='Patch affinity improves the fused map', source='MCTformer, Table 5',
         better=['maps', 'refined_fused_cams', 'refined'], worse=['maps', 'fused_cams', 'fused']),
    dict(text='Patch affinity improves the map of the patch classifier', source='MCTformer, Table 5',
         better=['maps', 'refined_patch_cams', 'refined'], worse=['maps', 'patch_cams', 'patch classifier']),
    dict(text='Attention of the last 3 layers is better than that of all 12', source='MCTformer, Fig. 6',
         better=['maps', 'attention', 'last 3'], worse=['last', 'attention attention_layers=12', 'all 12']),
    dict(text='Attention of the last 3 layers is better than that of the last 6', source='MCTformer, Fig. 6',
         better=['maps', 'attention', 'last 3'], worse=['last', 'attention attention_layers=6', 'last 6'],
         reason='it is the score that decides. At 0.25, both maps lose more than 12 points against their own best '
                'score. Each at its best score, the claim holds in all three seeds.'),
    dict(text='Attention of the last 3 layers is better than that of the last one', source='MCTformer, Fig. 6',
         better=['maps', 'attention', 'last 3'], worse=['last', 'attention attention_layers=1', 'last 1']),
    dict(text='The affinity of a shallow layer, the fourth, improves the fused map', source='AReAM, Fig. 1',
         better=['layers', 'layer_4', 'layer 4'], worse=['layers', 'raw_cams', 'fused']),
    dict(text='The affinity of the last layer makes the fused map worse', source='AReAM, Fig. 1',
         better=['layers', 'raw_cams', 'fused'], worse=['layers', 'layer_12', 'layer 12'],
         reason=(
             'the paper finds that the affinity of deep layers is flat: all patches attend to the same ones. With this '
             'start it is not. The mean Hellinger distance between the attention of two patches (Fig. 3 of the paper, '
             'on 30 of these photographs, seed 0) is 0.44 to 0.49 in layers 7 to 11 and 0.53 in the last one; in the '
             'first one it is 0.31. The tokens agree: their '
             'mean cosine similarity (ToCo, Fig. 2) is 0.40 in the last layer and 0.44 in the first. No supervised '
             'ViT for photographs is on PyPI, so the claim could not be tested with one.')),
    dict(text='The affinity of the first 7 layers is better than that of all 12', source='AReAM, Table III',
         better=['layers', 'first_7', 'first 7'], worse=['layers', 'first_12', 'all 12'],
         reason=(
             'it follows from deep layers that are flat, and with this start they are not, as said of the last layer. '
             'The affinity of layer 11 alone is the best: 54.2 at the best score on average, 52.4 with all layers.')),
    dict(text='Maps of three scales are better than those of one', source='MCTformer+, released code',
         better=['views', 'refined_attention', 'three'], worse=['maps', 'refined_attention', 'one']),
    dict(text='Maps of an image and its mirror image are better than those of the image',
         source='MCTformer, released code',
         better=['maps', 'refined_attention', 'both'], worse=['mirror', 'refined_attention', 'image']),
    dict(text='Dense CRF improves maps, each at the score that is chosen without masks', source='WeakTr, Table 4',
         better=['crf-quality', 'pseudo/mIoU', 'CRF'], worse=['maps', 'refined_attention', 'none']),
    dict(text='Dense CRF improves maps at the same score', source='WeakTr, Table 4',
         better=['crf-same-quality', 'pseudo/mIoU', 'CRF'], worse=['maps', 'refined_attention', 'none'],
         reason=(
             'with a CRF, a lower score is better: at 0.15, the score that is chosen for it without masks, it reaches '
             '64.5 on average in place of 63.5.')),
    dict(text='Pixel-adaptive refinement (PAR) improves maps at the same score', source='AReAM, Table I',
         better=['par-quality', 'pseudo/mIoU', 'PAR'], worse=['maps', 'refined_attention', 'none']),
    dict(text='With one rate for the network and tokens as on DeiT, training improves refined attention',
         source='mmwsss', better=['maps-raw', 'refined_attention', 'trained'],
         worse=['maps-untrained-raw', 'refined_attention', 'untrained'],
         reason=(
             'the class tokens learn almost nothing in these two epochs. Their loss in iterations 76 to 85 is 0.268, '
             '0.263 and 0.269 for seeds 0, 1 and 2; a classifier that only knows how frequent each class is has 0.27. '
             'A token that cannot tell its class cannot show where it is: the maps show what the network attends to '
             'anyway, and the image labels that are given say which class that is. The start, which was fine-tuned '
             'for saliency, does this as well without training. A backbone that learns slowly keeps what the start '
             'does, and class tokens that learn fast tell their classes: then training helps, see above.')),
    dict(text='Normalizing the tokens of this start improves the patch classifier', source='mmwsss',
         better=['maps-normalized', 'patch_cams', 'normalized'], worse=['maps-raw', 'patch_cams', 'not normalized']),
    dict(text='A slow backbone improves refined attention of normalized tokens', source='mmwsss',
         better=['maps', 'refined_attention', 'slow'],
         worse=['maps-normalized', 'refined_attention', 'not slow']),
]
