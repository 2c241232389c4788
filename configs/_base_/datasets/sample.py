# The generated sample set, which tools/dataset_converters/make_sample.py draws.
data_root = 'data/sample'
label_file = 'image_labels.json'  # relative to data_root
num_classes = 8
train_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackWSSSInputs')]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='mmwsss.PackWSSSInputs')]
metainfo = dict(
    palette=[(0, 0, 0), (31, 119, 180), (255, 127, 14), (214, 39, 40), (23, 190, 207), (140, 86, 75), (188, 189, 34),
             (227, 119, 194), (148, 103, 189)])
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type='IterationSampler', shuffle=True),
    dataset=dict(
        type='ImageLabelDataset',
        label_file=label_file,
        seed=0,
        pipeline=train_pipeline,
        dataset=dict(
            type='PhotoDataset',
            classes='classes.txt',
            metainfo=metainfo,
            data_root=data_root,
            data_prefix=dict(img_path='JPEGImages'),
            ann_file='ImageSets/Segmentation/train.txt')))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ImageLabelDataset',
        label_file=label_file,
        labels_from_masks=True,
        show_masks=True,
        test_mode=True,
        pipeline=test_pipeline,
        dataset=dict(
            type='PhotoDataset',
            classes='classes.txt',
            metainfo=metainfo,
            data_root=data_root,
            data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
            ann_file='ImageSets/Segmentation/val.txt')))
test_dataloader = val_dataloader
val_evaluator = [dict(type='CheckedIoUMetric', iou_metrics=['mIoU'], prefix='seg')]
test_evaluator = val_evaluator
