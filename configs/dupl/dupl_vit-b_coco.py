# DuPL, ViT-B/16 (ImageNet-21k, fine-tuned on 1k), COCO 2014. Published with 8 GPUs of 1 image.
_base_ = [
    '../_base_/models/dupl_vit-b.py', '../_base_/datasets/coco.py', '../_base_/pipelines/dupl_448.py',
    '../_base_/schedules/toco_20k.py', '../_base_/default_runtime.py'
]
threshold = 0.45
group_size = 1
model = dict(
    cam_head=dict(num_classes=_base_.num_classes),
    decode_head=dict(num_classes=_base_.num_classes + 1, loss_decode=dict(group_size=group_size)),
    loss_ptc=dict(group_size=group_size),
    loss_reg=dict(group_size=group_size),
    train_cfg=dict(
        high=0.65,
        high_kept=(),
        high_decay=(12000, 80000),
        noise_filter_begin=32000,
        # Before this iteration, the pseudo labels come from the auxiliary CAM.
        final_cam_begin=12001,
        loss_weights=dict(dis=0.05),
        phases=[
            dict(begin=0, off=('ptc', 'dis', 'seg', 'reg')),
            dict(begin=8001, off=('ptc', 'reg')),
            dict(begin=12001, off=('reg', )),
            dict(begin=32000)
        ]),
    test_cfg=dict(threshold=threshold))
train_dataloader = dict(batch_size=1, dataset=dict(pipeline=_base_.dupl_coco_train_pipeline))
test_pipeline = _base_.toco_val_pipeline
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_evaluator = [
    dict(type='CheckedIoUMetric', iou_metrics=['mIoU'], prefix='seg'),
    dict(type='CAMMetric', threshold=threshold, prefix='cam'),
    dict(type='CAMMetric', threshold=threshold, prefix='cam', field='aux_cams', name='aux')
]
test_evaluator = val_evaluator
param_scheduler = [dict(type='WarmupPolyLR', by_epoch=False, total=80000, warmup=1500, warmup_ratio=1e-6, power=0.9)]
train_cfg = dict(max_iters=80000, val_interval=4000)
default_hooks = dict(checkpoint=dict(interval=4000))
# Images are resized to a square here too, and scales are fused by their sum.
tta_model = dict(scales=(1.0, 1.25, 1.5), flip_fusion='sum', scale_fusion='sum')
tta_pipeline = test_pipeline
