_base_ = './transcam_conformer-s_voc.py'
model = dict(
    backbone=dict(
        arch='tiny',
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmclassification/v0/conformer/'
            'conformer-tiny-p16_3rdparty_8xb128_in1k_20211206-f6860372.pth')),
    cam_head=dict(conv_channels=256))
