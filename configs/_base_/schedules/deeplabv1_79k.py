# Plain SGD with ten times the learning rate on the head and a polynomial decay in every iteration. 79,350 iterations of
# 4 images are 30 epochs of VOC's 10,582 images. MCTformer's code passes its weight decay of 1e-5 as momentum and sets
# no weight decay. The Runner sets the length of the decay from train_cfg.max_iters.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=7e-4, momentum=1e-5, weight_decay=0.),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.))))
param_scheduler = [dict(type='WarmupPolyLR', by_epoch=False, warmup=0, power=0.9)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=79350, val_interval=13225)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=4)
