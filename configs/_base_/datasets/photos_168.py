# Your own photographs as classifiers train on them: small crops in epochs, evaluation at a short side of 224 pixels.
_base_ = ['./photos.py', '../pipelines/photos_168.py']
train_dataloader = dict(
    batch_size=8,
    drop_last=True,
    sampler=dict(type='EpochSampler'),
    dataset=dict(pipeline=_base_.photos_train_pipeline))
test_pipeline = _base_.photos_val_pipeline
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
