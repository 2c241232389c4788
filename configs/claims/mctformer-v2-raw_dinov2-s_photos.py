# MCTformer-V2 on photographs with tokens as on DeiT, the residual stream of the last layer without the final norm, and
# with one rate for the network and ten times as much for its head.
_base_ = '../mctformer/mctformer-v2_dinov2-s_photos.py'
model = dict(backbone=dict(raw_output=True), test_cfg=dict(threshold=0.3))
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys=dict(backbone=dict(lr_mult=1.), cls_token=dict(lr_mult=1.), cam_head=dict(lr_mult=10.))))
