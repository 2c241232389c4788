# The first stage of WeakTr on photographs, trained on crops of 112 pixels.
_base_ = '../weaktr/weaktr_dinov2-s_photos.py'
crop_size = 112
train_pipeline = [
    _base_.photos_train_pipeline[0],
    dict(_base_.photos_train_pipeline[1], scale=crop_size), *_base_.photos_train_pipeline[2:]
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(data_preprocessor=dict(size=(crop_size, crop_size)))
