# The generated sample set for a second stage: see voc_pseudo.py.
_base_ = './sample.py'
pseudo_label_dir = 'work_dirs/pseudo_labels_sample'
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        pseudo_label_dir=pseudo_label_dir,
        seed=0,
        dataset=dict(
            type='PhotoDataset',
            classes='classes.txt',
            metainfo=_base_.metainfo,
            data_root=_base_.data_root,
            data_prefix=dict(img_path='JPEGImages'),
            ann_file='ImageSets/Segmentation/train.txt')))
# For --tta, images keep their size.
tta_pipeline = _base_.test_pipeline
