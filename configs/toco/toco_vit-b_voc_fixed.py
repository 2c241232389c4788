# ToCo without the three geometric errors of the published results. Report its result together with the default's.
_base_ = './toco_vit-b_voc.py'
views = dict(_base_.toco_views, flip_box=True, register_local_view=True)
train_pipeline = [dict(type='LoadImageFromFile'), views, dict(type='PackWSSSInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(train_cfg=dict(ptc_box='scaled'))
