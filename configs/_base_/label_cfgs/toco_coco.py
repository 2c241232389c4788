# ToCo's labels on COCO: as on VOC, with the foreground threshold of its published code for COCO.
_base_ = './toco_voc.py'
_base_.label_cfg.steps[1].high = 0.65
