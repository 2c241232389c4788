# MCTformer+, DeiT-S/16, VOC 2012 from image-level labels.
_base_ = [
    '../_base_/models/mctformer-plus_deit-s.py', '../_base_/datasets/voc_deit.py', '../_base_/schedules/deit_45e.py',
    '../_base_/epoch_runtime.py'
]
randomness = dict(seed=0)
train_pipeline = _base_.deit_train_pipeline
train_pipeline[1].update(scale=448)
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline))
threshold = _base_.model.test_cfg.threshold
val_evaluator = [dict(type='CAMMetric', threshold=threshold, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
