# TransCAM (JVCIR 2023), its published code for PSA's AffinityNet: a dense CRF of hard labels over all classes, at a low
# and a high background score; pixels between them are ignored. The maps walk afterwards: transcam_walk.py.
label_cfg = dict(
    source=dict(type='CAMSource'),
    steps=[
        dict(type='ConstantBackground', low=0.25, high=0.6),
        dict(type='HardLabels', confidence=0.7, over='all'),
        dict(type='DenseCRF', preset='transcam_label')
    ],
    labeler=dict(type='MergeLevels'),
    outputs=dict(cams=dict(steps=[])))
