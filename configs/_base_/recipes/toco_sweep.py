# The training that ToCo's ablations repeat, for sweeps. Four images in all, as published on two GPUs.
data_root = 'data/VOCdevkit/VOC2012'
stages = [
    dict(name='toco', kind='train', config='configs/toco/toco_deit-b_voc.py',
         cfg_options={'train_dataloader.batch_size': 4})
]
metrics = ['cam/mIoU', 'cam/aux_mIoU', 'seg/mIoU']
