# The second stage: a segmentation network learns from the pseudo labels of the first stage, without the pixels of the
# largest loss. tools/make_pseudo_labels.py makes the labels; README.md lists the commands.
_base_ = [
    '../_base_/models/segmenter_deit-s.py', '../_base_/datasets/voc.py', '../_base_/pipelines/segmenter_480.py',
    '../_base_/schedules/segmenter_100e.py', '../_base_/epoch_runtime.py'
]
pseudo_label_dir = 'work_dirs/weaktr_deit-s_voc/pseudo_labels'
train_dataloader = dict(
    batch_size=4,
    sampler=dict(type='EpochSampler'),
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        pseudo_label_dir=pseudo_label_dir,
        seed=0,
        pipeline=_base_.segmenter_train_pipeline,
        dataset=dict(
            type='PascalVOCDataset',
            data_root=_base_.data_root,
            data_prefix=dict(img_path='JPEGImages'),
            ann_file='ImageSets/Segmentation/trainaug.txt')))
test_pipeline = _base_.segmenter_val_pipeline
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
custom_hooks = [dict(type='IterationSeedHook'), dict(type='KeptPrecisionHook')]
