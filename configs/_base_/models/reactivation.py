# AReAM's mechanism, for any method whose backbone can be observed:
# model = dict(auxiliary=dict(
#     reactivation=dict(_base_.reactivation, map_name=<the method's map before refinement>, begin=<epoch>)))
reactivation = dict(
    type='AffinityReactivation',
    weight=0.2,
    loss=dict(type='AffinityLoss', pair_weight=1.0, layer_reduction='sum', scope='image'),
    # Pseudo labels of re-activated maps, at half size.
    low=0.25,
    high=0.7,
    label_cfg=dict(
        steps=[
            dict(type='Downscale', factor=2),
            dict(type='ConstantBackground'),
            dict(type='Softmax'),
            dict(type='PixelAdaptiveRefinement', dilations=(1, 2, 4, 8, 12, 24), num_iters=10)
        ],
        labeler=dict(type='MergeLevels')))
