# AReAM as its code was released with arXiv version 1: a fixed split of the layers, uniform weights, 224 pixels.
_base_ = [
    '../_base_/models/aream_deit-s.py', '../_base_/datasets/voc_deit.py',
    '../_base_/schedules/aream_45e.py', '../_base_/epoch_runtime.py'
]
randomness = dict(seed=42)
model = dict(
    data_preprocessor=dict(size=(224, 224)),
    backbone=dict(img_size=224, pos_embed_grid='scale'),
    cam_head=dict(attention_layers=12),
    # Layers 1 to 7 refine, 8 to 12 are supervised. With entropy_mode='offline' and counterparts=[...] (one number a
    # layer, from tools/analyze.py layer-entropies) weights are those of the data set.
    auxiliary=dict(
        reactivation=dict(
            weight=0.1,
            begin=10,
            low=0.35,
            high=0.55,
            layer_split=7,
            entropy_mode='uniform',
            normalize_cam=False,
            cam_pass='train',
            loss=dict(pair_weight=0.5, layer_reduction='mean', scope='batch'))))
# The released code keeps the checkpoint with the best mAP on val, where it sees the middle 224 x 224 pixels of an image
# whose short side is resized to 256. CAMs are evaluated at the size of the images.
val_dataloader = dict(dataset=dict(pipeline=_base_.deit_cls_pipeline))
val_evaluator = [dict(type='ImageMAP', prefix='cls')]
test_evaluator = [
    dict(type='CAMMetric', threshold=_base_.model.test_cfg.threshold, prefix='cam'), dict(type='ImageMAP', prefix='cls')
]
default_hooks = dict(
    checkpoint=dict(save_best='cls/mAP', rule='greater'), trace=dict(type='ReactivationTraceHook', interval=50))
optim_wrapper = dict(optimizer=dict(lr=6.25e-5))
train_cfg = dict(max_epochs=60, val_interval=1)
auto_scale_lr = dict(base_batch_size=64)
