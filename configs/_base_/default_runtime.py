# What every config shares: logging, checkpoints, pictures, randomness.
default_scope = 'mmwsss'
# mmseg's MMSegInferencer always begins with the scope of mmseg. Models, test pipelines and the visualizer therefore
# state theirs: `_scope_='mmwsss'`, or `mmwsss.` before the name.
custom_imports = dict(imports=['mmwsss'])
randomness = dict(seed=0)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2000, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='PictureSheetHook'))
# Model randomness is a function of seed and iteration: a resumed run equals an uninterrupted one.
custom_hooks = [dict(type='IterationSeedHook')]
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='mmwsss.CAMVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False
