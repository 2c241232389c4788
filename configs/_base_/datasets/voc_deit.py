# VOC as DeiT-based classifiers train on it: epochs, 64 crops of 224 a batch; class maps are evaluated at the images'
# own size.
_base_ = ['./voc.py', '../pipelines/deit_224.py']
train_dataloader = dict(
    batch_size=64,
    drop_last=True,
    sampler=dict(type='EpochSampler'),
    dataset=dict(pipeline=_base_.deit_train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.deit_val_pipeline))
test_dataloader = val_dataloader
