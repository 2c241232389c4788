# SGD for 20,000 updates. As in the published setting, each adds the gradients of two batches of 5 images, which makes
# 40,000 iterations, and the rate changes in every tenth update. The learning rate is 2.5e-4 in the backbone, ten times
# that for the weights of the head, and twenty times, without weight decay, for the biases of the head. The Runner sets
# the length of the decay from train_cfg.max_iters.
optim_wrapper = dict(
    type='OptimWrapper',
    accumulative_counts=2,
    optimizer=dict(type='SGD', lr=2.5e-3, momentum=0.9, weight_decay=5e-4),
    # The backbone has no trained biases.
    paramwise_cfg=dict(bias_lr_mult=2., bias_decay_mult=0., custom_keys=dict(backbone=dict(lr_mult=0.1))))
param_scheduler = [dict(type='WarmupPolyLR', by_epoch=False, warmup=0, power=0.9, interval=20)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=40000, val_interval=10000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=10)
