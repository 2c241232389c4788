# VOC's recipe on COCO 2014, for which MCTformer's code has no second stage: the start (ImageNet) and the length (15
# epochs of the 82,081 images with an object) are ours.
_base_ = [
    '../_base_/models/deeplabv1_wr38.py', '../_base_/datasets/coco_pseudo.py', '../_base_/pipelines/deeplabv1_321.py',
    '../_base_/schedules/deeplabv1_79k.py', '../_base_/default_runtime.py'
]
pseudo_label_dir = 'work_dirs/mctformer-v2_deit-s_coco/pseudo_labels'
model = dict(
    backbone=dict(init_cfg=dict(checkpoint='resnet38+pretrained/ilsvrc-cls_rna-a1_cls1000_ep-0001.params')),
    decode_head=dict(num_classes=_base_.num_classes + 1))
train_dataloader = dict(
    batch_size=4, dataset=dict(pseudo_label_dir=pseudo_label_dir, pipeline=_base_.deeplabv1_train_pipeline))
train_cfg = dict(max_iters=307800, val_interval=30780)
default_hooks = dict(checkpoint=dict(interval=10000))
