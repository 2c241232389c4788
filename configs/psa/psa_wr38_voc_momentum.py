# SGD with the momentum of 0.9 that the codes name and, by a mix-up of arguments, do not use.
_base_ = './psa_wr38_voc.py'
optim_wrapper = dict(optimizer=dict(momentum=0.9))
