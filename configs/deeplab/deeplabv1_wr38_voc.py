# The last stage of MCTformer: DeepLab-V1 on Wide-ResNet-38, on masks that AffinityNet's random walk makes.
_base_ = [
    '../_base_/models/deeplabv1_wr38.py', '../_base_/datasets/voc_pseudo.py', '../_base_/pipelines/deeplabv1_321.py',
    '../_base_/schedules/deeplabv1_79k.py', '../_base_/default_runtime.py'
]
pseudo_label_dir = 'work_dirs/psa_wr38_voc/pseudo_labels'
train_dataloader = dict(
    batch_size=4, dataset=dict(pseudo_label_dir=pseudo_label_dir, pipeline=_base_.deeplabv1_train_pipeline))
default_hooks = dict(checkpoint=dict(interval=2645))
