# PASCAL VOC 2012 with SBD, for recipes; docs/data.md says how to get it. Labels are made of trainaug, judged on train.
data_root = 'data/VOCdevkit/VOC2012'
