# AffinityNet with the defaults of PSA's own code: other backgrounds in training and walk, four times the steps, 8
# epochs at ten times the rate (which its author gives for VGG-16).
_base_ = './psa_wr38_voc.py'
model = dict(test_cfg=dict(log2_steps=8, threshold=None, background_alpha=16))
load_scores = dict(_base_.psa_load_scores, folders=('crf_4', 'crf_32'))
train_pipeline = [
    dict(type='LoadImageFromFile'), load_scores, _base_.psa_color_jitter, _base_.psa_crop, _base_.psa_flip,
    _base_.psa_pool_labels,
    dict(type='PackWSSSInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=0.1))
max_epochs = 8
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
