# Version 1: attention of the class tokens alone.
_base_ = './mctformer-v2_deit-s_voc.py'
model = dict(cam_head=dict(patch_classifier=False))
