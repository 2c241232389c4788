# MCTformer+, DeiT-S/16, COCO 2014 from image-level labels.
_base_ = [
    '../_base_/models/mctformer-plus_deit-s.py', '../_base_/datasets/coco_deit.py', '../_base_/schedules/deit_45e.py',
    '../_base_/epoch_runtime.py'
]
randomness = dict(seed=0)
model = dict(backbone=dict(num_class_tokens=_base_.num_classes), cam_head=dict(num_classes=_base_.num_classes))
train_pipeline = _base_.deit_train_pipeline
train_pipeline[1].update(scale=448)
# As in mctformer-v2_deit-s_coco.py: all 82,783 training images.
train_dataloader = dict(
    batch_size=32,
    dataset=dict(pipeline=train_pipeline, empty='keep', dataset=dict(ann_file='ImageSets/train_all.txt')))
threshold = _base_.model.test_cfg.threshold
val_evaluator = [dict(type='CAMMetric', threshold=threshold, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
