# The paper's dagger rows: the "improved ViT-S" (AugReg), ImageNet-21k, fine-tuned on ImageNet-1k at 384 x 384.
_base_ = './weaktr-retrain_deit-s_voc.py'
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        interpolate_mode='bicubic',
        init_cfg=dict(
            checkpoint='augreg+https://storage.googleapis.com/vit_models/augreg/'
            'S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.03-res_384.npz')))
