# MCTformer+ (arXiv 2308.03005) on DeiT-S/16: version 2 at 448 with ranked pooling of the patch scores, a contrast
# of the class tokens of all layers, and the square root of the fused map. The number of classes is VOC's.
_base_ = './mctformer_deit-s.py'
data_preprocessor = dict(type='MultiViewPreProcessor', size=(448, 448))
model = dict(
    data_preprocessor=data_preprocessor,
    # Each position of DeiT's 14 x 14 grid becomes four of the 28 x 28 grid.
    backbone=dict(img_size=448, pos_embed_grid='size', pos_embed_start='repeat'),
    cam_head=dict(attention_layers=12, fusion='root', patch_pool='gwrp'),
    auxiliary=dict(class_tokens=dict(type='ContrastiveClassTokens', weight=1.0, num_layers=12)),
    test_cfg=dict(cams=dict(scales=(1.0, 0.75, 1.25), interpolation='bicubic')))
