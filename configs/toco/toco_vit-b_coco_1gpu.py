# ToCo on COCO on one GPU with memory for 2 images: every update adds the gradients of four iterations, so all lengths
# are four times the published ones. With memory for 8 images, use toco_vit-b_coco.py and train_dataloader.batch_size=8.
_base_ = './toco_vit-b_coco.py'
accumulative_counts = 4
model = dict(
    train_cfg=dict(
        accumulative_counts=accumulative_counts,  # The teacher moves once for each update.
        final_cam_begin=48004,
        phases=[
            dict(begin=0, off=('ptc', 'ctc', 'seg', 'reg')),
            dict(begin=32004, off=('ptc', 'ctc')),
            dict(begin=48004)
        ]))
optim_wrapper = dict(accumulative_counts=accumulative_counts)
param_scheduler = [dict(type='WarmupPolyLR', by_epoch=False, total=320000, warmup=6000, warmup_ratio=1e-6, power=0.9)]
train_cfg = dict(max_iters=320000, val_interval=16000)
default_hooks = dict(checkpoint=dict(interval=16000))
