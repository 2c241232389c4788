# AReAM (arXiv 2305.03112, version 2) on DeiT-S/16: MCTformer-V2's network at 448, its affinities re-activated.
_base_ = ['./mctformer_deit-s.py', './reactivation.py']
model = dict(
    data_preprocessor=dict(size=(448, 448)),
    # DeiT-S; with fewer layers (and as many in cam_head.num_layers) the first ones of the checkpoint are taken.
    backbone=dict(
        arch=dict(embed_dims=384, num_layers=12, num_heads=6, feedforward_channels=1536, _delete_=True),
        img_size=448,
        pos_embed_grid='size'),
    cam_head=dict(type='AReAMHead', num_layers=12, attention_layers=3, affinity_layers=None),
    auxiliary=dict(reactivation=dict(_base_.reactivation, map_name='raw_cams', begin=8)),
    # Images keep their size in tests. Each is mirrored first and then padded to whole patches.
    test_cfg=dict(cams=dict(pad_divisor=16, eps=1e-6)))
