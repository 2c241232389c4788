_base_ = [
    '../_base_/models/mctformer_deit-s.py', '../_base_/datasets/coco.py', '../_base_/pipelines/deit_224.py',
    '../_base_/schedules/deit_60e.py', '../_base_/epoch_runtime.py'
]
model = dict(backbone=dict(num_class_tokens=80), cam_head=dict(num_classes=80))
train_dataloader = dict(
    batch_size=64,
    drop_last=True,
    sampler=dict(type='EpochSampler'),
    dataset=dict(pipeline=_base_.deit_train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.deit_val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.deit_val_pipeline))
val_evaluator = [dict(type='CAMMetric', threshold=0.4, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
