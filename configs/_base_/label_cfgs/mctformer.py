# MCTformer (CVPR 2022), its published code for PSA's AffinityNet: dense CRF of the maps beside backgrounds of
# (1 - max)^1 and (1 - max)^12, and the maps themselves, which walk afterwards. The labels are those of the CRF beside a
# constant background, for looking at.
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
