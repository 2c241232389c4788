# The pseudo labels of ToCo's training (CVPR 2023, Sec. 4.4), made offline: `make_pseudo_labels.py --label-cfg
# configs/_base_/label_cfgs/toco_voc.py`. The training itself reads model.label_cfg, from which this list is taken.
_base_ = '../models/toco_vit-b.py'
label_cfg = _base_.model.label_cfg
label_cfg.steps[1].update(low=_base_.model.train_cfg.low, high=_base_.model.train_cfg.high)
