# MCTformer (CVPR 2022): the outputs that its published code writes for PSA's AffinityNet. These are the CAMs, which the
# random walk uses later, and the CAMs refined by a dense CRF with backgrounds of (1 - max)^1 and (1 - max)^12. The
# labels come from a dense CRF with a constant background and serve for inspection only.
label_cfg = dict(
    source=dict(type='CAMSource'),
    steps=[dict(type='ConstantBackground', threshold=0.4),
           dict(type='DenseCRF', preset='mctformer_cam')],
    labeler=dict(type='Argmax'),
    outputs=dict(
        cams=dict(steps=[]),
        crf_1=dict(steps=[dict(type='AlphaBackground', alpha=1),
                          dict(type='DenseCRF', preset='mctformer_cam')]),
        crf_12=dict(steps=[dict(type='AlphaBackground', alpha=12),
                           dict(type='DenseCRF', preset='mctformer_cam')])))
