# MCTformer-V2 on photographs with tokens as on DeiT: the residual stream of the last layer, without the final norm.
_base_ = '../mctformer/mctformer-v2_dinov2-s_photos.py'
model = dict(backbone=dict(raw_output=True), test_cfg=dict(threshold=0.3))
