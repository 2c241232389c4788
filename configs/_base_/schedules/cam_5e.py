# SGD for 5 epochs with batches of 16 images. The head has ten times the learning rate, and a polynomial decay changes
# the rate in every iteration. These are the settings of IRN (CVPR 2019), whose code also passes the weight decay as
# momentum. The Runner sets the length of the decay from train_cfg.max_epochs. Configs that use this schedule also need
# train_dataloader=dict(batch_size=16, drop_last=True, sampler=dict(type='EpochSampler')) and ../epoch_runtime.py.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.1, momentum=1e-4, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys=dict(cam_head=dict(lr_mult=10.))))
param_scheduler = [dict(type='WarmupPolyLR', by_epoch=False, warmup=0, power=0.9)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=5, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
