# AffinityNet on COCO 2014: VOC's settings, from ImageNet. There are no published results for it.
_base_ = [
    '../_base_/models/affinity_wr38.py', '../_base_/datasets/coco_psa.py', '../_base_/schedules/psa_5e.py',
    '../_base_/epoch_runtime.py'
]
model = dict(
    backbone=dict(init_cfg=dict(checkpoint='resnet38+pretrained/ilsvrc-cls_rna-a1_cls1000_ep-0001.params')))
default_hooks = dict(checkpoint=dict(interval=1), visualization=dict(num_images=0))
