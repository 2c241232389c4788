# DeiT's schedule as MCTformer's, over 45 epochs with 32 images a batch and in full precision; class tokens decay.
_base_ = './deit_60e.py'
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    # 5e-4 for 512 images
    optimizer=dict(type='AdamW', lr=3.125e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    paramwise_cfg=dict(
        flat_decay_mult=0.,  # all biases and norms
        custom_keys=dict(pos_embed=dict(decay_mult=0.))))
train_cfg = dict(max_epochs=45)
auto_scale_lr = dict(base_batch_size=32)
