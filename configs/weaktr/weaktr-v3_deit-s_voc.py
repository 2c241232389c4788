# The version of the checkpoint that the authors released: weights from the output of the attention sublayers, and
# weight decay on everything.
_base_ = './weaktr_deit-s_voc.py'
threshold = 0.43
model = dict(
    cam_head=dict(pool_source='attn_out', pool='max', reduction=8, feat_reduction=8),
    test_cfg=dict(threshold=threshold, cams=dict(scales=(1.0, 1.2))))
val_evaluator = [dict(type='CAMMetric', threshold=threshold, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
# 6e-4 for 512 images
optim_wrapper = dict(optimizer=dict(lr=7.5e-5, weight_decay=0.03), paramwise_cfg=dict(_delete_=True))
