# AdamW with ten times the learning rate on all heads and weight decay on all parameters. A polynomial decay, not
# shifted by the warm-up, follows a linear warm-up.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01),
    paramwise_cfg=dict(
        custom_keys=dict(
            cam_head=dict(lr_mult=10.), decode_head=dict(lr_mult=10.), projector=dict(lr_mult=10.))))
param_scheduler = [dict(type='WarmupPolyLR', by_epoch=False, total=20000, warmup=1500, warmup_ratio=1e-6, power=0.9)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=20000, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
