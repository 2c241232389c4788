# AdamW at a constant rate for 20 epochs of 8 images a batch; weight decay on everything.
# A config that uses this needs train_dataloader=dict(batch_size=8, drop_last=True, sampler=dict(type='EpochSampler'))
# and ../epoch_runtime.py.
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=5e-4))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=20)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# `--cfg-options auto_scale_lr.enable=True` scales the rate with the batch size.
auto_scale_lr = dict(enable=False, base_batch_size=8)
