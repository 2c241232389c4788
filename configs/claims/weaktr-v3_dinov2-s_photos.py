# WeakTr-V3 on photographs: the network and schedule of WeakTr, with what V3 changes in the fusion.
_base_ = './weaktr_dinov2-s_photos.py'
model = dict(cam_head=dict(pool_source='attn_out', pool='max', reduction=8, feat_reduction=8))
