# The three slips of geometry that the published numbers contain, put right. Report it beside the default.
_base_ = './toco_vit-b_voc.py'
train_pipeline = _base_.toco_train_pipeline
train_pipeline[1].update(flip_box=True, register_local_view=True)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(train_cfg=dict(ptc_box='scaled'))
