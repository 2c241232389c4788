# The version of the checkpoint that the authors released for COCO 2014, in their 90 slots: see weaktr_deit-s_coco.py,
# and weaktr-v3_deit-s_voc.py for what is different from the paper's version.
_base_ = './weaktr_deit-s_coco.py'
model = dict(cam_head=dict(pool_source='attn_out', pool='max', reduction=8, feat_reduction=8))
# 2e-4 for 512 images
optim_wrapper = dict(optimizer=dict(lr=2.5e-5, weight_decay=0.03), paramwise_cfg=dict(_delete_=True))
