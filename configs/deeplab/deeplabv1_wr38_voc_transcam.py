# The last stage of TransCAM: another head, crop, augmentation, schedule and test than MCTformer's.
_base_ = [
    '../_base_/models/deeplabv1_wr38.py', '../_base_/datasets/voc_pseudo.py', '../_base_/default_runtime.py'
]
pseudo_label_dir = 'work_dirs/psa_wr38_voc_transcam/pseudo_labels'
crop_size = (448, 448)
max_iters = 20000
# The published code trains convolutions only, so scales and shifts stay as they are, but statistics are the batch's,
# and the first convolution learns as well.
norm_cfg = dict(type='BN', momentum=3e-4, eps=1e-5, requires_grad=False)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        frozen_stages=0,
        norm_cfg=norm_cfg,
        norm_eval=False,
        init_cfg=dict(checkpoint='resnet38+pretrained/ilsvrc-cls_rna-a1_cls1000_ep-0001.params')),
    decode_head=dict(type='NormedLargeFOVHead', dropout_ratio=0.5, norm_cfg=norm_cfg, align_corners=True))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='HSVShift', delta=10),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomScale', ratio_range=(0.5, 1.5), interpolation='bicubic', backend='cv2', by_factor=True),
    # A smaller image lies at a random position on a canvas of the mean color (in the order BGR) and of label 255.
    dict(type='RandomPlaceCrop', crop_size=crop_size[0], pad_value=(103.53, 116.28, 123.675)),
    dict(type='PackWSSSInputs')
]
train_dataloader = dict(
    batch_size=10, dataset=dict(pseudo_label_dir=pseudo_label_dir, pipeline=train_pipeline))
optim_wrapper = dict(
    type='OptimWrapper',
    # 1e-3 in the backbone, ten times that on the head's weights and twenty times, without decay, on its bias.
    optimizer=dict(type='SGD', lr=1e-2, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(bias_lr_mult=2., bias_decay_mult=0., custom_keys=dict(backbone=dict(lr_mult=0.1))))
param_scheduler = [dict(type='WarmupPolyLR', by_epoch=False, total=max_iters + 1, warmup=0, power=0.9)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(checkpoint=dict(interval=1000))
# `tools/test.py --tta`: the mean of logits over six scales and their mirror images, then one iteration of dense CRF.
# OpenCV makes the views, logits are enlarged to the size of the view and from there to that of the image, and the CRF
# sees the normalized image converted back to 8 bits, without rounding.
tta_model = dict(
    scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75),
    flip=True,
    flip_fusion='mean',
    scale_fusion='mean',
    probabilities=False,
    view_resize=dict(_delete_=True, backend='cv2', interpolation='bicubic'),
    via_view_size=True,
    steps=[dict(type='RoundTripColors'), dict(type='DenseCRF', preset='transcam_seg')])
