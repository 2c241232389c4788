# Your own photographs. docs/data.md describes how to make these files:
#   data/photos/images/...           photographs, any suffix, also in subfolders
#   data/photos/classes.txt          one foreground class per line
#   data/photos/image_labels.json    made by tools/dataset_converters/image_labels.py
#   data/photos/train.txt            image ids to train on
#   data/photos/val.txt, masks/      image ids and index masks for evaluation (optional)
data_root = 'data/photos'
label_file = 'image_labels.json'  # relative to data_root
num_classes = 20  # the default of the model configs; `--classes` replaces it
train_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackWSSSInputs')]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='mmwsss.PackWSSSInputs')]
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type='IterationSampler', shuffle=True),
    dataset=dict(
        type='ImageLabelDataset',
        label_file=label_file,
        verify_images=True,
        seed=0,
        pipeline=train_pipeline,
        dataset=dict(
            type='PhotoDataset',
            classes='classes.txt',
            data_root=data_root,
            data_prefix=dict(img_path='images'),
            ann_file='train.txt')))
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
            data_root=data_root,
            data_prefix=dict(img_path='images', seg_map_path='masks'),
            ann_file='val.txt')))
test_dataloader = val_dataloader
val_evaluator = [dict(type='CheckedIoUMetric', iou_metrics=['mIoU'], prefix='seg')]
test_evaluator = val_evaluator
