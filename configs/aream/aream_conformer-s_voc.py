# AReAM on Conformer-S (ImageNet-1k), VOC 2012 from image-level labels, as its code was released with arXiv version 1.
_base_ = [
    '../_base_/models/aream_conformer-s.py', '../_base_/datasets/voc.py', '../_base_/pipelines/aream_448.py',
    '../_base_/schedules/aream_12e.py', '../_base_/epoch_runtime.py'
]
randomness = dict(seed=42)
crop_size = 384
train_pipeline = _base_.aream_train_pipeline
train_pipeline[4].update(crop_size=crop_size)
train_dataloader = dict(
    batch_size=8, drop_last=True, sampler=dict(type='EpochSampler'), dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.aream_val_pipeline))
test_dataloader = val_dataloader
threshold = _base_.model.test_cfg.threshold
val_evaluator = [dict(type='CAMMetric', threshold=threshold, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
default_hooks = dict(trace=dict(type='ReactivationTraceHook', interval=50))
