# Class tokens on photographs. The start attends to objects already: a slow backbone keeps this, while class tokens and
# classifier learn. Two epochs of a few hundred photographs are enough for that (docs/photographs.md).
_base_ = './photos_adamw.py'
max_epochs = 2
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys=dict(backbone=dict(lr_mult=0.1), cls_token=dict(lr_mult=20.), cam_head=dict(lr_mult=20.))))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
