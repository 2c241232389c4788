# The paper's version of the first stage on COCO 2014, in the authors' 90 slots: slot i is COCO's category id i + 1, of
# which COCO never uses ten. README.md says how the slots map to the 80 classes.
_base_ = [
    '../_base_/models/weaktr_deit-s.py', '../_base_/datasets/coco_deit.py',
    '../_base_/schedules/deit_60e.py', '../_base_/epoch_runtime.py'
]
num_classes = 90
model = dict(
    backbone=dict(num_class_tokens=num_classes),
    cam_head=dict(num_classes=num_classes),
    test_cfg=dict(pseudo_label_crf='weaktr_label_coco'))
_slots = dict(dataset=dict(dataset=dict(type='COCO2014SlotDataset')))
train_dataloader = _slots
val_dataloader = _slots
test_dataloader = _slots
threshold = _base_.model.test_cfg.threshold
val_evaluator = [dict(type='CAMMetric', threshold=threshold, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
# 5e-4 for 512 images
optim_wrapper = dict(optimizer=dict(lr=6.25e-5))
randomness = dict(seed=504)
