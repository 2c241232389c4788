# AffinityNet on the generated sample set, on a narrow Wide-ResNet-38: minutes on two cores.
_base_ = [
    '../_base_/models/affinity_wr38.py', '../_base_/datasets/sample_psa.py', '../_base_/schedules/psa_5e.py',
    '../_base_/epoch_runtime.py'
]
crop_size = 128
base = 8
model = dict(
    data_preprocessor=dict(size=(crop_size, crop_size)),
    backbone=dict(base_channels=base, init_cfg=dict(type='Pretrained', checkpoint='mmwsss://wr38-micro_sample')),
    affinity_head=dict(in_channels=(8 * base, 16 * base, 64 * base), channels=(base, 2 * base, 4 * base)),
    # Chosen on the masks of 150 training images. Objects are only a few cells large, and long walks leave them.
    test_cfg=dict(beta=16, log2_steps=2, threshold=0.35))
crop = dict(_base_.psa_crop, crop_size=crop_size)
train_pipeline = [
    dict(type='LoadImageFromFile'), _base_.psa_load_scores, _base_.psa_color_jitter, crop, _base_.psa_flip,
    _base_.psa_pool_labels,
    dict(type='PackWSSSInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
# Without momentum, the network hardly changes in a few hundred iterations.
optim_wrapper = dict(optimizer=dict(momentum=0.9))
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=25), visualization=dict(num_images=0))
