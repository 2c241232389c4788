# The baseline: the same network and schedule with plain cross-entropy.
_base_ = './weaktr-retrain_vit-micro_sample.py'
model = dict(decode_head=dict(loss_decode=dict(_delete_=True, type='CrossEntropyLoss')))
