# AReAM, DeiT-S/16, VOC 2012 from image-level labels, as arXiv version 2 describes it.
_base_ = [
    '../_base_/models/aream_deit-s.py', '../_base_/datasets/voc.py', '../_base_/pipelines/aream_448.py',
    '../_base_/schedules/aream_45e.py', '../_base_/epoch_runtime.py'
]
randomness = dict(seed=42)
train_dataloader = dict(
    batch_size=32,
    drop_last=True,
    sampler=dict(type='EpochSampler'),
    dataset=dict(pipeline=_base_.aream_train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.aream_val_pipeline))
test_dataloader = val_dataloader
threshold = _base_.model.test_cfg.threshold
val_evaluator = [dict(type='CAMMetric', threshold=threshold, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
default_hooks = dict(trace=dict(type='ReactivationTraceHook', interval=50))
