# ToCo as it is, and the affinity of its layers re-activated with the auxiliary CAM.
_base_ = ['../toco/toco_vit-b_voc.py', '../_base_/models/reactivation.py']
model = dict(auxiliary=dict(reactivation=dict(_base_.reactivation, map_name='aux_cams', by_epoch=False, begin=2001)))
default_hooks = dict(trace=dict(type='ReactivationTraceHook', interval=50))
