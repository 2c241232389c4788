# SGD with Nesterov momentum for 100 epochs with batches of 4 images. A polynomial decay reduces the learning rate to a
# tenth, in every iteration and without warm-up. The rate of the encoder is always a tenth of the decoder's, also at the
# end. The Runner sets the length of the decay from train_cfg.max_epochs. Configs that use this schedule also need
# train_dataloader=dict(sampler=dict(type='EpochSampler')) and ../epoch_runtime.py.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1e-4, momentum=0.9, nesterov=True, weight_decay=0.),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
param_scheduler = [dict(type='WarmupPolyLR', by_epoch=False, warmup=0, power=0.9, min_ratio=0.1)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=4)
