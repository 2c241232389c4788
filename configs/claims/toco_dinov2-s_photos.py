# ToCo on photographs, without its decoder and for fewer iterations. The contrasts begin at iteration 80.
_base_ = '../toco/toco_dinov2-s_photos.py'
model = dict(
    train_cfg=dict(
        no_grad_dtype='bfloat16',
        loss_weights=dict(seg=0., reg=0.),
        phases=[dict(begin=0, off=('ptc', 'ctc', 'seg', 'reg')), dict(begin=80)]))
max_iters = 180
param_scheduler = [
    dict(type='WarmupPolyLR', by_epoch=False, total=max_iters, warmup=8, warmup_ratio=1e-2, power=0.9)
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
