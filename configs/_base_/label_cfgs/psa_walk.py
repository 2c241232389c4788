# PSA (CVPR 2018): the defaults of its published code. A random walk of 256 steps propagates saved CAMs and a background
# of (1 - max)^16. The config and checkpoint are those of the AffinityNet (configs/psa/psa_wr38_voc_original.py).
label_cfg = dict(
    source=dict(type='MapFolder', folder='work_dirs/seeds'),
    steps=[dict(type='AlphaBackground', alpha=16),
           dict(type='RandomWalk', beta=8, log2_steps=8)],
    labeler=dict(type='Argmax'))
