# The first stage of WeakTr on DeiT-S/16, as in the paper: MCTformer's network, with a learned weight for each
# attention map.
_base_ = './mctformer_deit-s.py'
data_preprocessor = dict(type='MultiViewPreProcessor')
model = dict(
    data_preprocessor=data_preprocessor,
    cam_head=dict(type='WeakTrHead', num_layers=12, num_heads=6, pool_source='attention', pool='avg', reduction=4),
    test_cfg=dict(
        threshold=0.42,
        pseudo_label_crf='weaktr_label_voc',
        cams=dict(scales=(1.0, 0.8, 1.2), rounding='nearest', interpolation='bicubic')))
