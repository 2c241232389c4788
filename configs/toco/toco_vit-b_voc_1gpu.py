# ToCo on VOC on one GPU with memory for 2 images: every update adds the gradients of two iterations, so all lengths are
# twice the published ones. With memory for 4 images, use toco_vit-b_voc.py and train_dataloader.batch_size=4.
_base_ = './toco_vit-b_voc.py'
accumulative_counts = 2
model = dict(
    train_cfg=dict(
        accumulative_counts=accumulative_counts,  # The teacher moves once for each update.
        phases=[dict(begin=0, off=('seg', 'reg')), dict(begin=4002)]))
optim_wrapper = dict(accumulative_counts=accumulative_counts)
param_scheduler = [dict(type='WarmupPolyLR', by_epoch=False, total=40000, warmup=3000, warmup_ratio=1e-6, power=0.9)]
train_cfg = dict(max_iters=40000, val_interval=4000)
default_hooks = dict(checkpoint=dict(interval=4000))
