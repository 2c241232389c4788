# WeakTr's first stage (arXiv 2304.01184), its published code for COCO: a dense CRF of hard labels, each 0.7 probable,
# over background and the present classes.
label_cfg = dict(
    source=dict(type='CAMSource'),
    steps=[
        dict(type='ConstantBackground', threshold=0.42),
        dict(type='HardLabels', confidence=0.7, over='present'),
        dict(type='DenseCRF', preset='weaktr_label_coco')
    ],
    labeler=dict(type='Argmax'))
