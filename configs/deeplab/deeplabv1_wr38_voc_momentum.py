# Momentum and weight decay as they were meant: the published code swaps the places of both.
_base_ = './deeplabv1_wr38_voc.py'
optim_wrapper = dict(optimizer=dict(momentum=0.9, weight_decay=5e-4))
