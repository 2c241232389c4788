# COCO 2014 for a second stage: see voc_pseudo.py.
_base_ = './coco.py'
pseudo_label_dir = 'work_dirs/pseudo_labels_coco'
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        pseudo_label_dir=pseudo_label_dir,
        seed=0,
        dataset=dict(
            type='COCO2014Dataset',
            data_root=_base_.data_root,
            data_prefix=dict(img_path='train2014'),
            ann_file='ImageSets/train.txt')))
# For --tta, images keep their size.
tta_pipeline = _base_.test_pipeline
