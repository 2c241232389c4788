# DuPL (CVPR 2024) on ViT-B/16: two students, each with ToCo's backbone, classifiers and decoder. VOC's numbers;
# datasets change num_classes, thresholds and phases.
_base_ = './toco_vit-b.py'
student = _base_.model
# Published with 2 images per GPU. Pixels and pairs are counted in groups of 2 images, however a batch is divided.
group_size = 2
model = dict(
    _delete_=True,
    _scope_='mmwsss',
    type='DuPL',
    data_preprocessor=student.data_preprocessor,
    backbone=student.backbone,
    cam_head=student.cam_head,
    decode_head=student.decode_head,
    # Pseudo labels of the decoders: as in ToCo, but the high background score depends on the image and the iteration.
    label_cfg=dict(
        steps=[
            dict(type='Downscale', factor=2),
            dict(type='ImageBackground'),
            dict(type='Softmax'),
            dict(type='PixelAdaptiveRefinement', **_base_.par)
        ],
        labeler=dict(type='MergeLevels')),
    loss_ptc=student.loss_ptc,
    loss_dis=dict(type='FeatureDiscrepancyLoss'),
    loss_reg=dict(type='ConfidentConsistencyLoss', confidence=0.9, group_size=group_size),
    noise_filter=dict(type='LossNoiseFilter', min_loss=0.1, min_pixels=1000, min_gap=1.0, confidence=0.95),
    train_cfg=dict(
        cams=_base_.cam_views,
        low=0.25,
        high=0.7,
        # The threshold of aeroplane, bicycle, bird, boat, chair and train stays.
        final_high=0.55,
        high_kept=(0, 1, 2, 3, 8, 18),
        high_decay=(2000, 20000),
        noise_filter_begin=8000,
        perturbed_scale=0.75,
        ptc_box='reference',
        final_cam_begin=0,
        loss_weights=dict(cls=1.0, aux=1.0, ptc=0.2, dis=0.1, seg=0.2, reg=0.05),
        phases=[dict(begin=0, off=('seg', 'reg')), dict(begin=2001, off=('reg', )), dict(begin=8001)]),
    test_cfg=student.test_cfg)
# The decoders get no gradient in the first phase.
find_unused_parameters = True
