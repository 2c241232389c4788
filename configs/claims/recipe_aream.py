# AReAM on photographs: python tools/run_claims.py --only mctformer aream --data-root DATA
_base_ = '../_base_/recipes/claims.py'
title = 'AReAM'
about = (
    "MCTformer-V2's network and schedule, and in the second of the two epochs AReAM's loss of re-activated "
    'affinities. It is compared with the trainings of MCTformer-V2 with the same seeds.')
stages = [
    dict(name='aream', kind='train', config='configs/claims/aream_dinov2-s_photos.py',
         cfg_options={'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}),
    dict(name='layers', kind='cam-table', checkpoint='aream', split='{out}/photos.txt',
         args=['--options', 'maps=cams,raw_cams,layer_4,layer_12,first_7,first_12']),
]
claims = [
    dict(text='Re-activation improves the map that the affinity of all layers refines', source='AReAM, Table I',
         better=['layers', 'cams', 'AReAM'], worse=['mctformer:layers', 'cams', 'without'],
         reason=(
             'there is little to repair. Re-activation corrects deep layers whose affinity is flat. With this start, '
             'it is not: the affinity of the last layer improves the fused map by 24.4 points without AReAM, see the '
             'claims about MCTformer-V2, where the distances between its rows stand. What is lost is half a point '
             'on average, with a loss that acts in 45 iterations, on labels of a fused map that is the weak one '
             'here.')),
    dict(text='Re-activation improves the map that the affinity of the last layer refines', source='AReAM, Fig. 6',
         better=['layers', 'layer_12', 'AReAM'], worse=['mctformer:layers', 'layer_12', 'without'],
         reason='the same as for all layers; at the best score, this is not decided.'),
    dict(text='With it, the affinity of all 12 layers is better than that of the first 7', source='AReAM, Table III',
         better=['layers', 'first_12', 'all 12'], worse=['layers', 'first_7', 'first 7']),
]
