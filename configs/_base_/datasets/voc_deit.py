# VOC for the training of DeiT-based classifiers: epochs with batches of 64 crops of 224 pixels. CAMs are evaluated at
# the original size of the images.
_base_ = ['./voc.py', '../pipelines/deit_224.py']
train_dataloader = dict(
    batch_size=64,
    drop_last=True,
    sampler=dict(type='EpochSampler'),
    dataset=dict(pipeline=_base_.deit_train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.deit_val_pipeline))
test_dataloader = val_dataloader
