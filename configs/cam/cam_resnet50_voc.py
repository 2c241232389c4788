# Plain CAM, ResNet-50, VOC 2012: the baseline of every table.
_base_ = [
    '../_base_/models/cam_resnet50.py', '../_base_/datasets/voc.py', '../_base_/pipelines/cam_512.py',
    '../_base_/schedules/cam_5e.py', '../_base_/epoch_runtime.py'
]
train_dataloader = dict(
    batch_size=16, drop_last=True, sampler=dict(type='EpochSampler'), dataset=dict(pipeline=_base_.cam_train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.cam_val_pipeline))
test_dataloader = val_dataloader
threshold = _base_.model.test_cfg.threshold
val_evaluator = [dict(type='CAMMetric', threshold=threshold, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
