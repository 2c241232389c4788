# The intended momentum and weight decay; the published code swaps them.
_base_ = './deeplabv1_wr38_voc.py'
optim_wrapper = dict(optimizer=dict(momentum=0.9, weight_decay=5e-4))
