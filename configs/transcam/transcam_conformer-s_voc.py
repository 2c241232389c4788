# TransCAM, Conformer-S (ImageNet-1k), VOC 2012 from image-level labels. Published with 1 GPU of 8 images.
_base_ = [
    '../_base_/models/transcam_conformer-s.py', '../_base_/datasets/voc.py', '../_base_/pipelines/transcam_512.py',
    '../_base_/schedules/transcam_20e.py', '../_base_/epoch_runtime.py'
]
train_dataloader = dict(
    batch_size=8,
    drop_last=True,
    sampler=dict(type='EpochSampler'),
    dataset=dict(pipeline=_base_.transcam_train_pipeline))
# Images keep their own size in the pipeline; the model resizes them.
val_evaluator = [dict(type='CAMMetric', threshold=_base_.model.test_cfg.threshold, prefix='cam')]
test_evaluator = val_evaluator
