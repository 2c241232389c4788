# PSA (CVPR 2018), the defaults of its published code: dense CRF of the maps beside backgrounds of (1 - max)^4 and
# (1 - max)^32 for the AffinityNet, and the maps themselves, which walk afterwards: psa_walk.py.
label_cfg = dict(
    source=dict(type='CAMSource'),
    steps=[dict(type='AlphaBackground', alpha=4),
           dict(type='DenseCRF', preset='psa_cam')],
    labeler=dict(type='Argmax'),
    outputs=dict(
        cams=dict(steps=[]),
        crf_4=dict(steps=[dict(type='AlphaBackground', alpha=4),
                          dict(type='DenseCRF', preset='psa_cam')]),
        crf_32=dict(steps=[dict(type='AlphaBackground', alpha=32),
                           dict(type='DenseCRF', preset='psa_cam')])))
