# PASCAL VOC 2012 with SBD (trainaug). tools/dataset_converters/voc_aug.py prepares the folder.
# Each method sets its own `pipeline` in the datasets of the dataloaders.
data_root = 'data/VOCdevkit/VOC2012'
label_file = 'image_labels.json'  # relative to data_root
num_classes = 20
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
            type='PascalVOCDataset',
            data_root=data_root,
            data_prefix=dict(img_path='JPEGImages'),
            ann_file='ImageSets/Segmentation/trainaug.txt')))
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
            type='PascalVOCDataset',
            data_root=data_root,
            data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
            ann_file='ImageSets/Segmentation/val.txt')))
test_dataloader = val_dataloader
val_evaluator = [dict(type='CheckedIoUMetric', iou_metrics=['mIoU'], prefix='seg')]
test_evaluator = val_evaluator
