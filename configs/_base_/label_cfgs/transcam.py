# TransCAM (JVCIR 2023): the labels that its published code makes for PSA's AffinityNet. A dense CRF over all classes
# refines hard labels at a low and a high background score; pixels between the two are ignored. The CAMs are saved for
# the random walk of transcam_walk.py.
label_cfg = dict(
    source=dict(type='CAMSource'),
    steps=[
        dict(type='ConstantBackground', low=0.25, high=0.6),
        dict(type='HardLabels', confidence=0.7, over='all'),
        dict(type='DenseCRF', preset='transcam_label')
    ],
    labeler=dict(type='MergeLevels'),
    outputs=dict(cams=dict(steps=[])))
