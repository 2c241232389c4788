# Plain CAM, ViT-S/14 of DINOv2's architecture, your own photographs (docs/photographs.md).
_base_ = [
    '../_base_/models/cam_resnet50.py', '../_base_/models/dinov2-s.py', '../_base_/datasets/photos_168.py',
    '../_base_/schedules/photos_adamw.py', '../_base_/epoch_runtime.py'
]
model = dict(
    data_preprocessor=dict(size=(_base_.photos_crop_size, _base_.photos_crop_size)),
    backbone=dict(_base_.dinov2_s_backbone, _delete_=True),
    cam_head=dict(in_channels=384),
    # The CRF of the published pseudo labels makes these maps worse.
    test_cfg=dict(cams=dict(scales=(1.0, )), pseudo_label_crf='mctformer_seg'))
threshold = _base_.model.test_cfg.threshold
val_evaluator = [dict(type='CAMMetric', threshold=threshold, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
max_epochs = 5
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
default_hooks = dict(logger=dict(interval=10))
