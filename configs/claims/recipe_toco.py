# ToCo on photographs: python tools/run_claims.py --only toco --data-root DATA
_base_ = '../_base_/recipes/claims.py'
title = 'ToCo'
about = (
    'ToCo, trained for 500 iterations with classification alone, with patch token contrast (PTC), and with class token '
    'contrast (CTC) as well, each without decoder.')
stages = []
for name, ptc, ctc in (('plain', 0., 0.), ('ptc', 0.2, 0.), ('ctc', 0.2, 0.5)):
    stages += [
        dict(name=name, kind='train', config='configs/toco/toco_dinov2-s_photos.py',
             cfg_options={'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None,
                          'model.train_cfg.loss_weights.ptc': ptc, 'model.train_cfg.loss_weights.ctc': ctc,
                          'model.train_cfg.loss_weights.seg': 0., 'model.train_cfg.loss_weights.reg': 0.}),
        dict(name=f'maps-{name}', kind='cam-table', checkpoint=name, split='{out}/photos.txt',
             args=['--options', 'maps=cams,aux_cams']),
    ]
del name, ptc, ctc
claims = [
    dict(text='Without contrasts, the auxiliary map is better than the final one', source='ToCo, Table 4',
         better=['maps-plain', 'aux_cams', 'auxiliary'], worse=['maps-plain', 'cams', 'final']),
    dict(text='PTC improves the final map', source='ToCo, Table 4',
         better=['maps-ptc', 'cams', 'PTC'], worse=['maps-plain', 'cams', 'plain']),
    dict(text='CTC improves the final map further', source='ToCo, Table 4',
         better=['maps-ctc', 'cams', 'PTC and CTC'], worse=['maps-ptc', 'cams', 'PTC']),
    dict(text='With PTC, the final map is better than the auxiliary one', source='ToCo, Table 4',
         better=['maps-ptc', 'cams', 'final'], worse=['maps-ptc', 'aux_cams', 'auxiliary']),
]
