# The schedule of MCTformer+: that of deit_60e.py for 45 epochs with batches of 32 images, and with weight decay on the
# position embedding.
_base_ = './deit_60e.py'
optim_wrapper = dict(
    # The published rate of 5e-4 for 512 images, scaled to batches of 32 images.
    optimizer=dict(lr=3.125e-5),
    paramwise_cfg=dict(custom_keys=dict(_delete_=True, cls_token=dict(decay_mult=0.))))
train_cfg = dict(max_epochs=45)
auto_scale_lr = dict(base_batch_size=32)
