# The sample MCTformer-V2 as it is, and the affinity of its layers re-activated.
_base_ = ['../mctformer/mctformer-v2_vit-micro_sample.py', '../_base_/models/reactivation.py']
model = dict(
    auxiliary=dict(
        reactivation=dict(
            _base_.reactivation,
            map_name='fused_cams',
            begin=4,
            label_cfg=dict(
                steps=[
                    dict(type='Downscale', factor=2),
                    dict(type='ConstantBackground'),
                    dict(type='Softmax'),
                    dict(type='PixelAdaptiveRefinement', dilations=(1, 2, 4, 6))
                ]))))
