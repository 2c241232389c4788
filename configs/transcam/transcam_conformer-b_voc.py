_base_ = './transcam_conformer-s_voc.py'
model = dict(
    backbone=dict(
        arch='base',
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmclassification/v0/conformer/'
            'conformer-base-p16_3rdparty_8xb128_in1k_20211206-bfdf8637.pth')),
    cam_head=dict(conv_channels=1536, token_channels=576))
