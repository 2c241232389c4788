# AdamW at a constant learning rate for 20 epochs with batches of 8 images, with weight decay on all parameters.
# Configs that use this schedule also need ../epoch_runtime.py and
# train_dataloader=dict(batch_size=8, drop_last=True, sampler=dict(type='EpochSampler')).
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=5e-4))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=20)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# `--cfg-options auto_scale_lr.enable=True` scales the rate with the batch size.
auto_scale_lr = dict(enable=False, base_batch_size=8)
