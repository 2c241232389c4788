# SGD for 5 epochs of batches of 8, ten times the rate on the head, a polynomial decay in every iteration. The codes of
# PSA and of all that build on it put the weight decay in the place of momentum; weight decay itself acts as well. The
# Runner takes the length of the decay from train_cfg.max_epochs. A config that uses this needs
# train_dataloader=dict(batch_size=8, drop_last=True, sampler=dict(type='EpochSampler')) and ../epoch_runtime.py.
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
