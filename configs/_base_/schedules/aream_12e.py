# AdamW for 12 epochs with batches of 8 images: a linear warm-up of one epoch, then a cosine decay, both in every
# iteration. The heads, which start from random weights, have ten times the rate. Configs that use this schedule also
# need ../epoch_runtime.py and train_dataloader=dict(batch_size=8, drop_last=True, sampler=dict(type='EpochSampler')).
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01),
    paramwise_cfg=dict(
        flat_decay_mult=0.,  # No weight decay on biases and norms.
        custom_keys={
            'cls_token': dict(decay_mult=0.),
            'cam_head': dict(lr_mult=10.),
            'cls_head.bias': dict(lr_mult=10., decay_mult=0.)
        }))
max_epochs = 12
param_scheduler = [
    # From 1e-6.
    dict(type='LinearLR', start_factor=0.02, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min_ratio=0.02, by_epoch=True, begin=1, end=max_epochs,
         convert_to_iter_based=True)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=8)
