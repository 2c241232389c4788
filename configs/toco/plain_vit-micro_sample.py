# The baseline of the sample set: the same network, data and schedule with the classification loss alone.
_base_ = './toco_vit-micro_sample.py'
model = dict(
    train_cfg=dict(loss_weights=dict(cls=1.0, aux=0., ptc=0., ctc=0., seg=0., reg=0.), phases=[dict(begin=0)]))
