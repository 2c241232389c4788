# PSA (CVPR 2018): the defaults of its published code. The outputs are the CAMs, which psa_walk.py uses later, and, to
# train the AffinityNet, the CAMs refined by a dense CRF with backgrounds of (1 - max)^4 and (1 - max)^32.
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
