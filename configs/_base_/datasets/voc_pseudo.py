# VOC for a second stage: trainaug with pseudo labels in place of masks. Configs set pseudo_label_dir and the pipeline.
_base_ = './voc.py'
pseudo_label_dir = 'work_dirs/pseudo_labels_voc'
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        pseudo_label_dir=pseudo_label_dir,
        seed=0,
        dataset=dict(
            type='PascalVOCDataset',
            data_root=_base_.data_root,
            data_prefix=dict(img_path='JPEGImages'),
            ann_file='ImageSets/Segmentation/trainaug.txt')))
# For --tta, images keep their size.
tta_pipeline = _base_.test_pipeline
