# The second stage on COCO 2014. Labels are category ids as in the first stage, hence 91 classes with background; ten of
# them never occur, and mIoU leaves them out as long as they are not predicted either.
_base_ = './weaktr-retrain_deit-s_voc.py'
data_root = 'data/coco2014'
num_classes = 90
pseudo_label_dir = 'work_dirs/weaktr_deit-s_coco/pseudo_labels'
# Published with 4 GPUs of 1 image each, so clipping compares the pixels of a single image.
model = dict(decode_head=dict(num_classes=num_classes + 1, loss_decode=dict(group_size=1)))
train_dataloader = dict(
    dataset=dict(
        pseudo_label_dir=pseudo_label_dir,
        dataset=dict(
            _delete_=True,
            type='COCO2014SlotDataset',
            data_root=data_root,
            data_prefix=dict(img_path='train2014'),
            ann_file='ImageSets/train.txt')))
_val_set = dict(
    _delete_=True,
    type='COCO2014SlotDataset',
    data_root=data_root,
    data_prefix=dict(img_path='val2014', seg_map_path='SegmentationClass/val2014'))
val_dataloader = dict(dataset=dict(dataset=dict(_val_set, ann_file='ImageSets/val_part.txt')))
test_dataloader = dict(dataset=dict(dataset=dict(_val_set, ann_file='ImageSets/val.txt')))
tta_model = dict(steps=[dict(type='DenseCRF', preset='weaktr_seg_coco', winners_only=True)])
