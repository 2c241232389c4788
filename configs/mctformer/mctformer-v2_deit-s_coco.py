_base_ = [
    '../_base_/models/mctformer_deit-s.py', '../_base_/datasets/coco_deit.py',
    '../_base_/schedules/deit_60e.py', '../_base_/epoch_runtime.py'
]
model = dict(backbone=dict(num_class_tokens=80), cam_head=dict(num_classes=80))
val_evaluator = [dict(type='CAMMetric', threshold=0.4, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
