# PSA (CVPR 2018), the defaults of its published code: saved maps walk 256 steps beside a background of (1 - max)^16.
# Config and checkpoint are the AffinityNet's (configs/psa/psa_wr38_voc_original.py).
label_cfg = dict(
    source=dict(type='MapFolder', folder='work_dirs/seeds'),
    steps=[dict(type='AlphaBackground', alpha=16),
           dict(type='RandomWalk', beta=8, log2_steps=8)],
    labeler=dict(type='Argmax'))
