# Not in the paper: VOC's recipe on COCO 2014, untested.
_base_ = [
    '../_base_/models/transcam_conformer-s.py', '../_base_/datasets/coco.py', '../_base_/pipelines/transcam_512.py',
    '../_base_/schedules/transcam_20e.py', '../_base_/epoch_runtime.py'
]
model = dict(cam_head=dict(num_classes=_base_.num_classes))
train_dataloader = dict(
    batch_size=8,
    drop_last=True,
    sampler=dict(type='EpochSampler'),
    dataset=dict(pipeline=_base_.transcam_train_pipeline))
val_evaluator = [dict(type='CAMMetric', threshold=_base_.model.test_cfg.threshold, prefix='cam')]
test_evaluator = val_evaluator
