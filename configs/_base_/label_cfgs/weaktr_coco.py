# WeakTr's first stage (arXiv 2304.01184): the settings of its published code for COCO. A dense CRF over the background
# and the present classes refines hard labels, each with a probability of 0.7.
label_cfg = dict(
    source=dict(type='CAMSource'),
    steps=[
        dict(type='ConstantBackground', threshold=0.42),
        dict(type='HardLabels', confidence=0.7, over='present'),
        dict(type='DenseCRF', preset='weaktr_label_coco')
    ],
    labeler=dict(type='Argmax'))
