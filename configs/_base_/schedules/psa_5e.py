# SGD for 5 epochs with batches of 8 images. The head has ten times the learning rate, and a polynomial decay changes
# the rate in every iteration. The code of PSA, and all code based on it, passes the weight decay as momentum; the
# weight decay is applied as well. The Runner sets the length of the decay from train_cfg.max_epochs. Configs that use
# this schedule also need ../epoch_runtime.py and
# train_dataloader=dict(batch_size=8, drop_last=True, sampler=dict(type='EpochSampler')).
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=5e-4, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys=dict(affinity_head=dict(lr_mult=10.))))
param_scheduler = [dict(type='WarmupPolyLR', by_epoch=False, warmup=0, power=0.9)]
max_epochs = 5
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=max_epochs)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=8)
