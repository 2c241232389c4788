_base_ = [
    '../_base_/models/mctformer_deit-s.py', '../_base_/datasets/coco_deit.py',
    '../_base_/schedules/deit_60e.py', '../_base_/epoch_runtime.py'
]
model = dict(backbone=dict(num_class_tokens=_base_.num_classes), cam_head=dict(num_classes=_base_.num_classes))
# Published with all 82,783 training images, 1,293 batches an epoch. Those without an object have no label at all.
train_dataloader = dict(dataset=dict(empty='keep', dataset=dict(ann_file='ImageSets/train_all.txt')))
threshold = _base_.model.test_cfg.threshold
val_evaluator = [dict(type='CAMMetric', threshold=threshold, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
