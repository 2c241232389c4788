# DuPL, ViT-B/16 (ImageNet-21k, fine-tuned on 1k), VOC 2012 from image-level labels. Published with 2 GPUs of 2 images.
_base_ = [
    '../_base_/models/dupl_vit-b.py', '../_base_/datasets/voc.py', '../_base_/pipelines/dupl_448.py',
    '../_base_/schedules/toco_20k.py', '../_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=_base_.dupl_train_pipeline))
test_pipeline = _base_.toco_val_pipeline
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
threshold = _base_.model.test_cfg.threshold
val_evaluator = [
    dict(type='CheckedIoUMetric', iou_metrics=['mIoU'], prefix='seg'),
    dict(type='CAMMetric', threshold=threshold, prefix='cam'),
    dict(type='CAMMetric', threshold=threshold, prefix='cam', field='aux_cams', name='aux')
]
test_evaluator = val_evaluator
# With --tta, images keep their size.
tta_pipeline = _base_.test_pipeline
