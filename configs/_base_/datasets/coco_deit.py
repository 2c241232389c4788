# COCO for the training of DeiT-based classifiers: see voc_deit.py.
_base_ = ['./coco.py', '../pipelines/deit_224.py']
train_dataloader = dict(
    batch_size=64,
    drop_last=True,
    sampler=dict(type='EpochSampler'),
    dataset=dict(pipeline=_base_.deit_train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.deit_val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.deit_val_pipeline))
