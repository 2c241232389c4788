# The schedule of MCTformer (deit_60e.py), but for 45 epochs with batches of 32 images and in full precision, and with
# weight decay on the class tokens.
_base_ = './deit_60e.py'
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    # The published rate of 5e-4 for 512 images, scaled to batches of 32 images.
    optimizer=dict(type='AdamW', lr=3.125e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    paramwise_cfg=dict(
        flat_decay_mult=0.,  # No weight decay on biases and norms.
        custom_keys=dict(pos_embed=dict(decay_mult=0.))))
train_cfg = dict(max_epochs=45)
auto_scale_lr = dict(base_batch_size=32)
