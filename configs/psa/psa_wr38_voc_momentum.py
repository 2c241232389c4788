# SGD with a momentum of 0.9. The released code contains this value but passes the weight decay as momentum.
_base_ = './psa_wr38_voc.py'
optim_wrapper = dict(optimizer=dict(momentum=0.9))
