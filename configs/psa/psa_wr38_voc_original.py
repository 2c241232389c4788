# AffinityNet with the defaults of PSA's own code: other backgrounds in training and walk, four times the steps, 8
# epochs at ten times the rate (which its author gives for VGG-16).
_base_ = './psa_wr38_voc.py'
model = dict(test_cfg=dict(log2_steps=8, threshold=None, background_alpha=16))
train_pipeline = _base_.psa_scores_pipeline
train_pipeline[1].update(folders=('crf_4', 'crf_32'))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=0.1))
max_epochs = 8
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
