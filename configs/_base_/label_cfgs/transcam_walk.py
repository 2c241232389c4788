# TransCAM (JVCIR 2023): the settings of its published code. A random walk propagates saved CAMs and a constant
# background, then a dense CRF refines the hard labels. The CRF sees the input of the network, padding included,
# converted back to 8 bits. The config and checkpoint are those of the AffinityNet
# (configs/psa/psa_wr38_voc_transcam.py).
label_cfg = dict(
    source=dict(type='MapFolder', folder='work_dirs/seeds'),
    steps=[
        dict(type='ConstantBackground', threshold=0.42),
        dict(type='RandomWalk', beta=14, log2_steps=7, keep_padding=True),
        dict(type='RoundTripColors', double=True),
        dict(type='HardLabels', confidence=0.7, over='all'),
        dict(type='DenseCRF', preset='transcam_label'),
        dict(type='CutPadding')
    ],
    labeler=dict(type='Argmax'))
