# TransCAM (JVCIR 2023): the settings of its published code. A random walk propagates saved CAMs and a constant
# background, then a dense CRF refines the hard labels. The config and checkpoint are those of the AffinityNet
# (configs/psa/psa_wr38_voc_transcam.py).
label_cfg = dict(
    source=dict(type='MapFolder', folder='work_dirs/seeds'),
    steps=[
        dict(type='ConstantBackground', threshold=0.42),
        dict(type='RandomWalk', beta=14, log2_steps=7),
        dict(type='HardLabels', confidence=0.7, over='all'),
        dict(type='DenseCRF', preset='transcam_label')
    ],
    labeler=dict(type='Argmax'))
