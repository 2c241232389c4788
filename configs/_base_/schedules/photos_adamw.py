# AdamW for a few epochs over a few hundred photographs. A linear warm-up and a polynomial decay change the rate in
# every iteration; the Runner sets the length of the decay from train_cfg.max_epochs.
max_epochs = 8
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    paramwise_cfg=dict(
        flat_decay_mult=0.,  # No weight decay on biases and norms.
        custom_keys=dict(
            cls_token=dict(decay_mult=0.), pos_embed=dict(decay_mult=0.), cam_head=dict(lr_mult=10.))))
param_scheduler = [dict(type='WarmupPolyLR', by_epoch=False, warmup=10, warmup_ratio=1e-2, power=0.9)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=max_epochs)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=8)
