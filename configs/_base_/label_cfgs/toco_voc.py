# ToCo's labels during training (CVPR 2023, Sec. 4.4; low and high are those of the published code): two passes of
# pixel-adaptive refinement (AFA, CVPR 2022) at half size. To use the list offline, pass --label-cfg
# configs/_base_/label_cfgs/toco_voc.py.
label_cfg = dict(
    steps=[
        dict(type='Downscale', factor=2),
        dict(type='ConstantBackground', low=0.25, high=0.7),
        dict(type='Softmax'),
        dict(type='PixelAdaptiveRefinement', dilations=(1, 2, 4, 8, 12, 24), num_iters=10)
    ],
    labeler=dict(type='MergeLevels'))
