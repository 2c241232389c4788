# default_runtime.py for EpochBasedTrainLoop: logs and checkpoints count epochs.
_base_ = './default_runtime.py'
default_hooks = dict(
    logger=dict(log_metric_by_epoch=True), checkpoint=dict(by_epoch=True, interval=5, max_keep_ckpts=2))
log_processor = dict(by_epoch=True)
