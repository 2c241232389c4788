# AdamW with a cosine decay over 60 epochs with batches of 64 images, the published setting of MCTformer. The Runner
# sets the length of the cosine from train_cfg.max_epochs. Configs that use this schedule also need
# train_dataloader=dict(batch_size=64, drop_last=True, sampler=dict(type='EpochSampler')) and ../epoch_runtime.py.
optim_wrapper = dict(
    type='AutoAmpOptimWrapper',
    dtype='float16',
    loss_scale='dynamic',
    # The published rate of 5e-4 for 512 images, scaled to batches of 64 images.
    optimizer=dict(type='AdamW', lr=6.25e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    paramwise_cfg=dict(
        flat_decay_mult=0.,  # No weight decay on biases and norms.
        custom_keys=dict(cls_token=dict(decay_mult=0.), pos_embed=dict(decay_mult=0.))))
param_scheduler = [dict(type='LaggedCosineLR', by_epoch=True, warmup=5, warmup_lr=1e-6, min_lr=1e-5, lag=1)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=60, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# `--cfg-options auto_scale_lr.enable=True` scales the base rate with the batch size, but not the minimum rates.
auto_scale_lr = dict(enable=False, base_batch_size=64)
