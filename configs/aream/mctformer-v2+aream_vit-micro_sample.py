# The sample MCTformer-V2 as it is, and the affinity of its layers re-activated.
_base_ = ['../mctformer/mctformer-v2_vit-micro_sample.py', '../_base_/models/reactivation.py']
model = dict(
    auxiliary=dict(
        reactivation=dict(
            _base_.reactivation,
            map_name='fused_cams',
            begin=4,
            label_cfg=_base_.sample_label_cfg)))
default_hooks = dict(trace=dict(type='ReactivationTraceHook', interval=10))
