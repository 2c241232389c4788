# MCTformer-V2 as it is, and the affinity of its layers re-activated.
_base_ = ['../mctformer/mctformer-v2_deit-s_voc.py', '../_base_/models/reactivation.py']
model = dict(auxiliary=dict(reactivation=dict(_base_.reactivation, map_name='fused_cams', begin=10)))
default_hooks = dict(trace=dict(type='ReactivationTraceHook', interval=50))
