# DeepLab-V2 on ResNet-101, the other network that WSSS methods retrain with, from ImageNet.
_base_ = [
    '../_base_/models/deeplabv2_r101.py', '../_base_/datasets/voc_pseudo.py', '../_base_/pipelines/deeplabv2_321.py',
    '../_base_/schedules/deeplabv2_20k.py', '../_base_/default_runtime.py'
]
pseudo_label_dir = 'work_dirs/psa_wr38_voc/pseudo_labels'
train_dataloader = dict(
    batch_size=5, dataset=dict(pseudo_label_dir=pseudo_label_dir, pipeline=_base_.deeplabv2_train_pipeline))
default_hooks = dict(checkpoint=dict(interval=2000))
