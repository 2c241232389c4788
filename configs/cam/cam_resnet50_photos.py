# Plain CAM, ResNet-50, your own photographs (docs/data.md): the baseline of every table.
_base_ = [
    '../_base_/models/cam_resnet50.py', '../_base_/datasets/photos.py', '../_base_/pipelines/cam_512.py',
    '../_base_/schedules/cam_5e.py', '../_base_/epoch_runtime.py'
]
# A hundred photographs are few: smaller batches and more epochs, and no rate so high that it needs thousands of steps.
optim_wrapper = dict(optimizer=dict(lr=0.01, momentum=0.9))
train_cfg = dict(max_epochs=20, val_interval=20)
train_dataloader = dict(
    batch_size=8, drop_last=True, sampler=dict(type='EpochSampler'), dataset=dict(pipeline=_base_.cam_train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.cam_val_pipeline))
test_dataloader = val_dataloader
threshold = _base_.model.test_cfg.threshold
val_evaluator = [dict(type='CAMMetric', threshold=threshold, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
