# COCO 2014, 80 classes. tools/dataset_converters/coco2014.py prepares masks, labels and lists.
# Validation during training uses the first 5000 images of val; testing uses all of val.
data_root = 'data/coco2014'
label_file = 'image_labels.json'  # relative to data_root
num_classes = 80
train_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackWSSSInputs')]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='mmwsss.PackWSSSInputs')]
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=False,
    sampler=dict(type='IterationSampler', shuffle=True),
    dataset=dict(
        type='ImageLabelDataset',
        label_file=label_file,
        seed=0,
        pipeline=train_pipeline,
        dataset=dict(
            type='COCO2014Dataset',
            data_root=data_root,
            data_prefix=dict(img_path='train2014'),
            ann_file='ImageSets/train.txt')))
_val_set = dict(
    type='COCO2014Dataset',
    data_root=data_root,
    data_prefix=dict(img_path='val2014', seg_map_path='SegmentationClass/val2014'))
_val_labels = dict(
    type='ImageLabelDataset',
    label_file=label_file,
    labels_from_masks=True,
    show_masks=True,
    test_mode=True,
    pipeline=test_pipeline)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(_val_labels, dataset=dict(_val_set, ann_file='ImageSets/val_part.txt')))
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(_val_labels, dataset=dict(_val_set, ann_file='ImageSets/val.txt')))
val_evaluator = [dict(type='CheckedIoUMetric', iou_metrics=['mIoU'], prefix='seg')]
test_evaluator = val_evaluator
