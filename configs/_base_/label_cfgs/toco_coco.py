# ToCo's labels on COCO: the same as on VOC, but with the foreground threshold that the published code uses for COCO.
_base_ = './toco_voc.py'
_base_.label_cfg.steps[1].high = 0.65
