# MCTformer-V1 as it is, and the affinity of its layers re-activated.
_base_ = ['../mctformer/mctformer-v1_deit-s_voc.py', '../_base_/models/reactivation.py']
model = dict(auxiliary=dict(reactivation=dict(_base_.reactivation, map_name='attention', begin=10)))
default_hooks = dict(trace=dict(type='ReactivationTraceHook', interval=50))
