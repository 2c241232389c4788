# AdamW and a cosine over 60 epochs with 64 images a batch, as MCTformer was published. The Runner takes the length of
# the cosine from train_cfg.max_epochs. A config that uses this needs
# train_dataloader=dict(batch_size=64, drop_last=True, sampler=dict(type='EpochSampler')) and ../epoch_runtime.py.
optim_wrapper = dict(
    type='AutoAmpOptimWrapper',
    dtype='float16',
    loss_scale='dynamic',
    # 5e-4 for 512 images
    optimizer=dict(type='AdamW', lr=6.25e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    paramwise_cfg=dict(
        flat_decay_mult=0.,  # all biases and norms
        custom_keys=dict(cls_token=dict(decay_mult=0.), pos_embed=dict(decay_mult=0.))))
param_scheduler = [dict(type='LaggedCosineLR', by_epoch=True, warmup=5, warmup_lr=1e-6, min_lr=1e-5, lag=1)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=60, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# `--cfg-options auto_scale_lr.enable=True` scales the base rate with the batch size, but not the minimum rates.
auto_scale_lr = dict(enable=False, base_batch_size=64)
