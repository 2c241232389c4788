# DeepLab-V2 on ResNet-101 on COCO 2014, from ImageNet. The length is ours.
_base_ = [
    '../_base_/models/deeplabv2_r101.py', '../_base_/datasets/coco_pseudo.py', '../_base_/pipelines/deeplabv2_321.py',
    '../_base_/schedules/deeplabv2_20k.py', '../_base_/default_runtime.py'
]
pseudo_label_dir = 'work_dirs/aream_deit-s_coco/pseudo_labels'
model = dict(decode_head=dict(num_classes=_base_.num_classes + 1))
train_dataloader = dict(
    batch_size=5, dataset=dict(pseudo_label_dir=pseudo_label_dir, pipeline=_base_.deeplabv2_train_pipeline))
train_cfg = dict(max_iters=200000, val_interval=20000)
default_hooks = dict(checkpoint=dict(interval=10000))
